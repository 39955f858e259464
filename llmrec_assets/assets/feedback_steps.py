"""How stage 7 takes in its files, one transaction each, and what it makes of what they say."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
import duckdb
import pandas as pd

from llmrec_assets.assets.plots import as_metadata
from llmrec_assets.assets.table_metadata import markdown
from llmrec_assets.core.behaviors import EXPOSURE, Behavior, names
from llmrec_assets.resources.landing import INCOMPLETE, Landing, LandingScan
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.sql import feedback_files, list_files
from llmrec_assets.sql import s7_feedback as feedback_sql
from llmrec_assets.sql import s7_measures as measures_sql
from llmrec_assets.sql import s7_returns as returns_sql
from llmrec_assets.sql.s7_ledger import Ledger

if TYPE_CHECKING:
    from llmrec_assets.assets.s7_feedback import FeedbackConfig

DAYS_SHOWN = 14


def ingest(
    warehouse: Warehouse, landing: Landing, behaviors: Mapping[str, Behavior]
) -> tuple[int, dict[str, Any]]:
    """Take in every file of feedback, and of lists made online, that is not done yet.

    Returns:
        (the newest sequence number of feedback before, metadata of what came in).
    """
    fingerprint = landing.fingerprint("feedback", "lists")
    with warehouse.connect() as connection:
        feedback_files.create_tables(connection)
        list_files.create_tables(connection)
        before = feedback_sql.newest_seq(connection)

    def take(
        connection: duckdb.DuckDBPyConnection, path: Path, content_hash: str
    ) -> dict[str, int]:
        feedback_files.register_names(connection, names(behaviors))
        return feedback_files.ingest_file(connection, path, content_hash)

    told = _take_new(warehouse, landing.scan("feedback"), feedback_files.LEDGER, take)
    lists = _take_new(warehouse, landing.scan("lists"), list_files.LEDGER, list_files.ingest_file)
    unfinished = told.unfinished + lists.unfinished
    return before, {
        "landing_fingerprint": INCOMPLETE if unfinished else fingerprint,
        "unfinished_files": unfinished,
        "new_files": told.totals["new_files"],
        "copies_of_files": told.totals["copies"],
        "new_feedback": told.totals["accepted"],
        "duplicate_rows": told.totals["duplicates"],
        "rejected_rows": told.totals["rejected"],
        "rejected_files": told.totals["rejected_files"],
        "new_files_of_lists": lists.totals["new_files"],
        "new_slots_of_lists": lists.totals["accepted"],
        "rejected_slots_of_lists": lists.totals["rejected"],
        "rejected_files_of_lists": lists.totals["rejected_files"],
    }


@dataclass(frozen=True)
class _Taken:
    unfinished: list[str]
    totals: Counter[str]


def _take_new(
    warehouse: Warehouse,
    scan: LandingScan,
    ledger: Ledger,
    take: Callable[[duckdb.DuckDBPyConnection, Path, str], dict[str, int]],
) -> _Taken:
    """Take in the files that the ledger does not know, each in a transaction of its own."""
    with warehouse.connect() as connection:
        known = ledger.known(connection)
    unfinished = list(scan.unfinished)
    totals: Counter[str] = Counter()
    for file in scan.ready:
        if file.content_hash in known:
            totals["copies"] += known[file.content_hash] != file.name
            continue
        known[file.content_hash] = file.name
        with warehouse.connect() as connection:
            counts = take(connection, file.path, file.content_hash)
            if not file.is_unchanged():  # rewritten while it was read: the next run takes it
                connection.rollback()
                connection.begin()
                unfinished.append(file.name)
                continue
        totals.update({**counts, "new_files": 1})
    return _Taken(unfinished, totals)


def join(
    connection: duckdb.DuckDBPyConnection, config: "FeedbackConfig"
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Find the cause and the sign of responses. Needs the table `words`.

    Returns:
        (the events to return as `s7_returns.pending_events` gives them, counts for the metadata).
    """
    attributed_later = feedback_sql.attribute(connection, config.window_days)
    feedback_sql.forget_lists(connection, config.keep_days)
    feedback_sql.judge(
        connection,
        middle_rating=(config.lowest_rating + config.highest_rating) / 2,
        dwell_seconds=config.dwell_seconds,
    )
    events = returns_sql.pending_events(connection, config.most_responses_per_day)
    over = returns_sql.over_the_limit(connection, config.most_responses_per_day)
    return events, {"attributed_later": attributed_later, "responses_over_the_limit": over}


@dataclass(frozen=True)
class Measured:
    """What all feedback so far adds up to, read while the warehouse was open."""

    arrivals: dict[str, int]
    off_scale: int
    responses: pd.DataFrame
    rates: pd.DataFrame
    daily: pd.DataFrame
    flows: pd.DataFrame
    ranks: pd.DataFrame

    def metadata(self) -> dict[str, Any]:
        """Counts, tables and plots."""
        from llmrec_assets.core.feedback_plots import attribution_plot, daily_plot

        newest = self.daily.tail(DAYS_SHOWN).astype({"day": str}).round(4)
        return {
            **self.arrivals,
            "ratings_off_scale": self.off_scale,
            "responses": dg.MetadataValue.md(markdown(self.responses)),
            "response_rates": dg.MetadataValue.md(markdown(self.rates.round(4))),
            "daily_measures": dg.MetadataValue.md(markdown(newest)),
            "attribution_plot": as_metadata(attribution_plot(self.flows, self.ranks)),
            "daily_plot": as_metadata(daily_plot(self.daily)),
        }


def measure(
    connection: duckdb.DuckDBPyConnection, config: "FeedbackConfig", before: int
) -> Measured:
    """Rebuild response_rates and daily_measures. Needs the table `words`.

    `before` is the newest sequence number of feedback before this run.
    """
    daily = measures_sql.build_daily(connection, EXPOSURE)  # what follows reads its slots
    return Measured(
        arrivals=feedback_sql.arrivals(connection, before),
        off_scale=feedback_sql.off_scale(connection, config.lowest_rating, config.highest_rating),
        responses=feedback_sql.responses(connection, EXPOSURE),
        rates=feedback_sql.measure(connection, EXPOSURE),
        daily=daily,
        flows=measures_sql.flows(connection),
        ranks=measures_sql.by_rank(connection),
    )
