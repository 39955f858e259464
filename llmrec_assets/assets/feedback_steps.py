"""How stage 7 takes in its files, one transaction each, so that a kill loses nothing; its plots."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import dagster as dg
import duckdb

from llmrec_assets.assets.plots import as_metadata
from llmrec_assets.assets.table_metadata import markdown
from llmrec_assets.core.behaviors import EXPOSURE, Behavior, names
from llmrec_assets.resources.landing import INCOMPLETE, Landing
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.sql import feedback_files
from llmrec_assets.sql import s7_feedback as feedback_sql
from llmrec_assets.sql import s7_measures as measures_sql

DAYS_SHOWN = 14


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


def measure(connection: duckdb.DuckDBPyConnection) -> dict[str, dg.MetadataValue]:
    """Rebuild daily_measures; its newest rows, and plots of it and of the attribution.

    Needs the table `words`.
    """
    from llmrec_assets.core.feedback_plots import attribution_plot, daily_plot

    daily = measures_sql.build_daily(connection, EXPOSURE)
    newest = daily.tail(DAYS_SHOWN).astype({"day": str}).round(4)
    flows, ranks = measures_sql.flows(connection), measures_sql.by_rank(connection)
    return {
        "daily_measures": dg.MetadataValue.md(markdown(newest)),
        "attribution_plot": as_metadata(attribution_plot(flows, ranks)),
        "daily_plot": as_metadata(daily_plot(daily)),
    }
