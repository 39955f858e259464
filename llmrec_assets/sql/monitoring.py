"""Monitoring in SQL: what came in since the champion was trained, beside what it was trained on."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import duckdb
import numpy as np
import pandas as pd

from llmrec_assets.core.drift import Drift
from llmrec_assets.sql import s5_model as model_sql
from llmrec_assets.sql.tables import Column, Table, read_columns

SCHEMA = "monitoring"
RAW = "s1_raw_events.raw_events"
TEXTS = "s3_embeddings.text_features"
MODELS = "s5_model.temporal_model"
FEEDBACK = "s7_feedback.feedback"

DRIFT = Table(
    SCHEMA,
    "drift",
    (
        Column("measure", "varchar", "item_popularity and behavior_mix: Jensen-Shannon divergence"
               " of new and known events; item_texts: 1 - cosine of the mean text vector of their"
               " items; click_through: how far it fell on the newest day with impressions.",
               (f"{RAW}.item_id", f"{RAW}.behavior", f"{TEXTS}.embedding_row",
                f"{FEEDBACK}.response")),
        Column("value", "double", "What was measured."),
        Column("floor", "double", "What chance explains: the largest among random parts of the"
               " known events of the same size; for a rate, half of its 95 % interval."),
        Column("threshold", "double", "The floor and what matters beyond it."),
        Column("drifted", "boolean", "Whether the value is above the threshold."),
        Column("reference", "bigint", "Events, or slots shown, that it was compared with."),
        Column("new", "bigint", "Events, or slots shown, since."),
        Column("champion", "varchar", "Who serves.", ("s5_model.champion_model.served",)),
        Column("events_through", "bigint", "Newest event that was looked at.", (f"{RAW}.seq",)),
        Column("feedback_through", "bigint", "Newest feedback that was looked at.",
               (f"{FEEDBACK}.seq",)),
        Column("measured_at", "timestamp", "UTC.", clock=True),
    ),
    primary_key=("champion", "events_through", "feedback_through", "measure"),
)  # fmt: skip

# An impression is nothing that the user did.
COUNTS = """
select {what} as name, count(*) filter (seq <= $through) as reference,
    count(*) filter (seq > $through) as new
from {events} where behavior <> 'impression' group by 1 order by 1
"""

# A slot of a list counts on the day of its first response, once.
RATES = f"""
with slots as (
    select min(coalesce(epoch_us(timestamp) // 86400000000, step)) as day,
        bool_or(response = 'impression') as shown,
        bool_or(list_contains($clicks::varchar[], response)) as clicked
    from {FEEDBACK} where caused_by is not null
        and (model_version = $champion or starts_with(model_version, $champion || '-'))
    group by caused_by, user_id, item_id
)
select day, count(*) filter (shown) as shown, count(*) filter (shown and clicked) as clicked
from slots group by day order by day
"""


@dataclass(frozen=True)
class Champion:
    """Who serves, by a model's version or a baseline's name."""

    name: str
    trained_through: int  # newest event that it knew
    judged_through: int  # newest event that any challenger knew


def champion(connection: duckdb.DuckDBPyConnection) -> Champion | None:
    """Who serves; None before anything was judged."""
    if not _has_rows(connection, model_sql.CHAMPION_MODEL.full_name):
        return None
    decision = model_sql.newest_decision(connection)
    judged, name = int(str(decision["judged_through"])), str(decision["served"])
    known = connection.execute(
        f"select max(trained_through) from {MODELS} where model_version = ?", [name]
    ).fetchall()[0][0]
    return Champion(name, judged if known is None else int(known), judged)


def event_counts(
    connection: duckdb.DuckDBPyConnection, column: str, through: int
) -> dict[str, np.ndarray]:
    """name, reference and new: events up to `through` and since, by a column of raw_events."""
    query = COUNTS.format(what=column, events=RAW)
    return read_columns(connection, query, {"through": through})


def item_rows(connection: duckdb.DuckDBPyConnection) -> dict[str, np.ndarray]:
    """item_id and embedding_row of every item with a text; empty before any was encoded."""
    if not _has_rows(connection, TEXTS):
        return {"item_id": np.zeros(0, dtype=object), "embedding_row": np.zeros(0, dtype=np.int64)}
    return read_columns(
        connection, f"select item_id, embedding_row from {TEXTS} where kind = 'item' order by 1"
    )


def click_rates(
    connection: duckdb.DuckDBPyConnection, champion: str, clicks: Sequence[str]
) -> dict[str, np.ndarray]:
    """day, shown and clicked: slots of the champion's lists, by the day of the first response."""
    if not _has_rows(connection, FEEDBACK):
        return {name: np.zeros(0, dtype=np.int64) for name in ("day", "shown", "clicked")}
    return read_columns(connection, RATES, {"champion": champion, "clicks": list(clicks)})


def newest(connection: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    """Ingestion sequence numbers of the newest event and the newest feedback; 0 without any."""
    return (_newest(connection, RAW), _newest(connection, FEEDBACK))


def answers_since(connection: duckdb.DuckDBPyConnection, through: int) -> int:
    """Events after `through` that answer a list."""
    if not _has_rows(connection, FEEDBACK):
        return 0
    return connection.execute(
        f"""select count(*) from {RAW} where seq > ? and behavior <> 'impression' and event_id in
            (select event_id from {FEEDBACK} where caused_by is not null)""",
        [through],
    ).fetchall()[0][0]


def record_drift(
    connection: duckdb.DuckDBPyConnection,
    champion: str,
    through: tuple[int, int],
    found: list[Drift],
) -> pd.DataFrame:
    """Keep what was found; every measurement so far, in order of time."""
    DRIFT.create(connection)
    for drift in found:
        row = {**asdict(drift), "drifted": drift.drifted, "champion": champion}
        row |= {"events_through": through[0], "feedback_through": through[1]}
        selected = ", ".join(f"${name} as {name}" for name in row)
        connection.execute(
            f"insert or replace into {DRIFT.full_name} by name"
            f" (select {selected}, now()::timestamp as measured_at)",
            row,
        )
    return connection.execute(
        f"from {DRIFT.full_name} order by events_through, feedback_through, measure"
    ).df()


def _newest(connection: duckdb.DuckDBPyConnection, table: str) -> int:
    if not _has_rows(connection, table):
        return 0
    return connection.execute(f"select max(seq) from {table}").fetchall()[0][0]


def _has_rows(connection: duckdb.DuckDBPyConnection, table: str) -> bool:
    """Whether a table of another stage is there and has rows."""
    there = connection.execute(
        "select 1 from information_schema.tables where table_schema = ? and table_name = ?",
        table.split("."),
    ).fetchall()
    return bool(there) and bool(connection.execute(f"select 1 from {table} limit 1").fetchall())
