"""How stage 7 takes in its files: one transaction each, so that a kill loses nothing."""

from collections import Counter
from typing import Any

from llmrec_assets.resources.landing import INCOMPLETE, Landing
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.sql import feedback_files


def ingest(warehouse: Warehouse, landing: Landing) -> dict[str, Any]:
    """Take in every file of feedback that is not done yet; metadata of what came in."""
    scan = landing.scan("feedback")
    with warehouse.connect() as connection:
        feedback_files.create_tables(connection)
        known = feedback_files.known_hashes(connection)
    unfinished = list(scan.unfinished)
    totals: Counter[str] = Counter(rows=0, accepted=0, duplicates=0, rejected=0)
    for file in scan.ready:
        if file.content_hash in known:
            continue
        known.add(file.content_hash)
        with warehouse.connect() as connection:
            counts = feedback_files.ingest_file(connection, file.path, file.content_hash)
            if not file.is_unchanged():  # rewritten while it was read: the next run takes it
                connection.rollback()
                connection.begin()
                unfinished.append(file.name)
                continue
        totals.update({**counts, "new_files": 1})
    return {
        "landing_fingerprint": INCOMPLETE if unfinished else scan.fingerprint,
        "unfinished_files": unfinished,
        "new_files": totals["new_files"],
        "new_feedback": totals["accepted"],
        "duplicate_rows": totals["duplicates"],
        "rejected_rows": totals["rejected"],
        "rejected_files": totals["rejected_files"],
    }
