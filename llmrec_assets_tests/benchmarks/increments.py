"""What a day's new events cost, beside a rebuild from nothing, table by table in CPU-seconds.

    python -m llmrec_assets_tests.benchmarks.increments [--events 1e6] [--shares 0.01 0.05] [--even]

A generated log is brought from raw_events to fused_features. Then come days on which a share of the
users does something, one after the other. Shares are of the users and of the clean events whose
rows were made anew, ratios those of the cost; what a model reads in the end is loaded and timed.
"""

import argparse
import resource
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from llmrec_assets.core.behaviors import DEFAULT_BEHAVIORS
from llmrec_assets.sql import (
    builds,
    increments,
    s2_clean_events,
    s2_sequences,
    s2_statistics,
    s2_words,
    s3_embeddings,
    s4_features,
)
from llmrec_assets.sql.s2_tables import CLEAN_EVENTS, USER_SEQUENCES
from llmrec_assets.sql.s4_tables import FUSED_FEATURES, TEMPORAL_FEATURES
from llmrec_assets.sql.shards import WHOLE, FillByShards
from llmrec_assets.sql.tables import Table
from llmrec_assets.sql.training_data import load
from llmrec_assets_tests.benchmarks.cpu import cpu_seconds
from llmrec_assets_tests.benchmarks.generated_events import Shop, fill_raw, fill_raw_items

Connection = duckdb.DuckDBPyConnection
RULES = {"earliest": "1990-01-01", "bot_events_per_day": 2000, "drop_bots": False, "k_core": 0,
         "outlier_deviations": 6.0}  # fmt: skip
READING: dict[str, Any] = {"history_length": 50, "description_characters": 300}


@dataclass(frozen=True)
class Step:
    """One table, and how it is brought up to date."""

    table: Table
    build: Callable[[Connection], object]


def steps_of(fill: FillByShards = WHOLE) -> tuple[Step, ...]:
    """From clean_events to fused_features."""
    return (
        Step(CLEAN_EVENTS, lambda c: s2_clean_events.clean(c, fill=fill, **RULES)),
        Step(USER_SEQUENCES, lambda c: s2_sequences.build_sequences(c, "en", fill=fill, **READING)),
        Step(s3_embeddings.TEXT_FEATURES, lambda c: s3_embeddings.publish(c, {"none": "none"}, 0)),
        Step(TEMPORAL_FEATURES, s4_features.build_temporal),
        Step(FUSED_FEATURES, s4_features.build_fused),
    )


STEPS = steps_of()


def built(connection: Connection) -> dict[str, float]:
    """Bring every table up to date, each in a transaction of its own; what it took."""
    spent = {}
    for step in STEPS:

        def in_one_transaction(build: Callable[[Connection], object] = step.build) -> None:
            connection.begin()
            s2_words.register_words(connection, DEFAULT_BEHAVIORS, "en")
            build(connection)
            connection.commit()

        spent[step.table.name] = cpu_seconds(in_one_transaction)
    return spent


def read(connection: Connection) -> None:
    """Load what a model reads, without vectors."""
    none = (np.zeros(0, np.int64), np.zeros(0, np.int32))
    version = s2_statistics.newest_statistics(connection)
    load(connection, np.zeros((0, 4)), none, fit="evaluation", statistics_version=version)


def compare(connection: Connection, whole: dict[str, float], day: dict[str, float]) -> None:
    """Print a row a table, and one for all."""
    print(f"{'':<20}{'whole':>10}{'day':>10}{'ratio':>10}{'users':>10}{'rows':>10}")
    users = USER_SEQUENCES.count(connection)
    for step in STEPS:
        name, build = step.table.name, builds.last_build(connection, step.table)
        shares = [""] * 2
        if build:
            assert not build.reason, f"{name} was built whole: {build.reason}"
            rows = build.rows_recomputed / build.rows
            shares = [f"{build.users_touched / users:.2%}", f"{rows:.2%}"]
        _print(name, whole[name], day[name], *shares)
    _print("all", sum(whole.values()), sum(day.values()))


def _print(name: str, whole: float, day: float, users: str = "", rows: str = "") -> None:
    print(f"{name:<20}{whole:>10.2f}{day:>10.2f}{day / whole:>10.2%}{users:>10}{rows:>10}")


def main(events: int, shares: list[float], even: bool, folder: Path, memory: str) -> None:
    """Print the tables of every day."""
    shop = Shop(events)
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.execute("set timezone = 'UTC'; set threads = 2")
        connection.execute("set memory_limit = ?", [memory])
        connection.execute("set temp_directory = ?", [str(folder)])
        fill_raw(connection, shop.log())
        fill_raw_items(connection, shop)
        whole = built(connection)
        print(f"{increments.count_of(connection, CLEAN_EVENTS.full_name):,} clean events")
        for number, share in enumerate(shares):
            fill_raw(connection, shop.day(share, number, even))
            print(f"\na day of {share:.0%} of the users, CPU-seconds")
            compare(connection, whole, built(connection))
        print(
            f"\nloading them for a model: {cpu_seconds(lambda: read(connection)):.2f} CPU-seconds"
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak {peak:,.0f} MB resident, memory_limit {memory}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=lambda text: int(float(text)), default=1_000_000)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.01, 0.05])
    parser.add_argument("--even", action="store_true", help="users come whatever they did before")
    parser.add_argument("--memory", default="6GB", help="of DuckDB")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        main(given.events, given.shares, given.even, Path(root), given.memory)
