"""How stage 7 takes in its files: one transaction each, so that a kill loses nothing."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from llmrec_assets.core.behaviors import Behavior, names
from llmrec_assets.resources.landing import INCOMPLETE, Landing
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.sql import feedback_files
from llmrec_assets.sql import s7_feedback as feedback_sql


def ingest(
    warehouse: Warehouse, landing: Landing, behaviors: Mapping[str, Behavior]
) -> tuple[int, dict[str, Any]]:
    """Take in every file of feedback that is not done yet.

    Returns:
        (the newest sequence number of feedback before, metadata of what came in).
    """
    scan = landing.scan("feedback")
    with warehouse.connect() as connection:
        feedback_files.create_tables(connection)
        known = feedback_files.known_files(connection)
        before = feedback_sql.newest_seq(connection)
    unfinished, copies = list(scan.unfinished), 0
    totals: Counter[str] = Counter(rows=0, accepted=0, duplicates=0, rejected=0)
    for file in scan.ready:
        if file.content_hash in known:
            copies += known[file.content_hash] != file.name
            continue
        known[file.content_hash] = file.name
        with warehouse.connect() as connection:
            feedback_files.register_names(connection, names(behaviors))
            counts = feedback_files.ingest_file(connection, file.path, file.content_hash)
            if not file.is_unchanged():  # rewritten while it was read: the next run takes it
                connection.rollback()
                connection.begin()
                unfinished.append(file.name)
                continue
        totals.update({**counts, "new_files": 1})
    return before, {
        "landing_fingerprint": INCOMPLETE if unfinished else scan.fingerprint,
        "unfinished_files": unfinished,
        "new_files": totals["new_files"],
        "copies_of_files": copies,
        "new_feedback": totals["accepted"],
        "duplicate_rows": totals["duplicates"],
        "rejected_rows": totals["rejected"],
        "rejected_files": totals["rejected_files"],
    }
