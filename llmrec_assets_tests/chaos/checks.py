"""What must hold after a recovery: nothing lost or doubled, and equal to what nothing befell."""

import csv
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pandas as pd

from llmrec_assets.layout import Layout
from llmrec_assets_tests.chaos.child import temporary

# What a run took, and where it put things; they differ between any two runs, as do times (…_at).
OF_A_RUN = {"seconds", "seconds_saved", "cpu_seconds", "returned_in", "part", "part_row"}
# A row for each run, also one that was repeated; and what numbers and hashes of clocks are kept for
# the next increment.
LOGS = {"s3_embeddings.encoding_runs", "s2_sequences.touched_users", "s2_sequences.moved_events",
        "s2_sequences.changed_events", "s4_features.changed_features",
        "s2_sequences.raw_blocks"}  # fmt: skip
HISTORY = ("s5_model", "s6_recommendations", "monitoring")  # whose rows tell of past versions
# After a file was taken back: its ledger, numbers by arrival, and cached vectors of its texts.
REMEMBERED = (
    "s1_raw_events.files",
    "s4_features.items",
    "s3_embeddings.text_vectors",
)
IN_ORDER = {"seq", "file_hash", "line", "trained_through"}  # where an event came in


def delivered(batches: list[Path]) -> tuple[set[str], set[str]]:
    """Ids of the good events, and of the feedback, of all batches."""
    events, feedback = set(), set()
    for batch in batches:
        for path in (batch / "events").glob("*.csv"):
            with path.open(encoding="utf-8") as file:
                events |= {r["event_id"] for r in csv.DictReader(file) if r["item_id"]}
        for path in (batch / "feedback").glob("*.jsonl"):
            lines = path.read_text(encoding="utf-8").splitlines()
            feedback |= {json.loads(line)["feedback_id"] for line in lines}
    return events, feedback


def lost_or_doubled(layout: Layout, batches: list[Path]) -> list[str]:
    """Events and feedback that are not there exactly once, in words."""
    events, feedback = delivered(batches)
    wrong = []
    for table, column, wanted in (
        ("s1_raw_events.raw_events", "event_id", events),
        ("s7_feedback.feedback", "feedback_id", feedback),
    ):
        found = Counter(rows(layout, f"select {column} as id from {table}")["id"])
        wrong += [f"{name} is there {n} times" for name, n in found.items() if n > 1]
        wrong += [f"{name} is lost" for name in sorted(wanted - found.keys())]
        strange = {name for name in found.keys() - wanted if not name.startswith("feedback:")}
        wrong += [f"{name} was never delivered" for name in sorted(strange)]
    return wrong


def unlike(
    layout: Layout, calm: Layout, same_history: bool, longer: tuple[str, ...] = ()
) -> list[str]:
    """Tables that differ from those of the undisturbed store, in words.

    Args:
        layout: of the store that was disturbed.
        calm: of the other.
        same_history: whether what tells of the past is compared as well.
        longer: tables that may have further rows.
    """
    with _open(layout) as store, _open(calm) as other:
        wrong, tables, others = [], _tables(store), _tables(other)
        if tables.keys() != others.keys():
            wrong.append(f"tables {sorted(tables.keys() ^ others.keys())} are of one store alone")
        for table in sorted(tables.keys() & others.keys() - LOGS):
            if table.endswith(".builds") or not (same_history or _is_of_data(table)):
                continue
            if tables[table] != others[table]:
                wrong.append(f"{table} has other columns")
                continue
            left_out = OF_A_RUN if same_history else OF_A_RUN | IN_ORDER
            names = ", ".join(f'"{name}"' for name in tables[table] if name not in left_out)
            query = f"select {names} from {table} order by all"
            frames = store.execute(query).df(), other.execute(query).df()
            difference = (_lacks if table in longer else _difference)(*frames)
            if difference:
                wrong.append(f"{table}: {difference}")
        return wrong


def _is_of_data(table: str) -> bool:
    """Whether a table tells of the data alone, not of what came in before or was served."""
    past = (*HISTORY, "s1_raw_events.re", "s7_feedback")
    return not table.startswith(past) and table not in REMEMBERED


def leftovers(layout: Layout) -> set[str]:
    """Hidden files and temporary ones that a killed run left behind."""
    hidden = {str(path.relative_to(layout.root)) for path in layout.root.rglob(".*")}
    temporary_files = {f"temporary {path.name}" for path in temporary(layout).glob("*")}
    return {name for name in hidden if not name.endswith(".lock")} | temporary_files


@contextmanager
def _open(layout: Layout) -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(str(layout.warehouse), read_only=True) as connection:
        connection.execute("set timezone = 'UTC'")
        yield connection


def rows(layout: Layout, query: str) -> pd.DataFrame:
    """The rows of a query in a store's warehouse."""
    with _open(layout) as connection:
        return connection.execute(query).df()


def _tables(connection: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    found = connection.execute(
        "select schema_name || '.' || table_name as name, list(column_name order by column_index)"
        " as columns from duckdb_columns() where not internal"
        " and not (data_type like 'TIMESTAMP%' and ends_with(column_name, '_at')) group by all",
    ).fetchall()
    return dict(found)


def _lacks(frame: pd.DataFrame, other: pd.DataFrame) -> str:
    found = other.merge(frame.drop_duplicates(), "left", indicator=True)["_merge"] == "both"
    return "" if found.all() else f"{(~found).sum()} rows are not there"


def _difference(frame: pd.DataFrame, other: pd.DataFrame) -> str:
    if len(frame) != len(other):
        return f"{len(frame)} rows instead of {len(other)}"
    for name in frame:
        try:
            pd.testing.assert_series_equal(frame[name], other[name], rtol=1e-5, atol=1e-6)
        except AssertionError as error:
            return f"{name}: {' '.join(str(error).split())[:200]}"
    return ""
