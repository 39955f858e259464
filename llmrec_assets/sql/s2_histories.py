"""The rows of user_sequences: DuckDB puts the events into order, Arrow makes lists of them.

An aggregate that orders its list takes longer than all the rest, and does not spill to disk. So the
events are sorted once, with numbers in place of ids, and read user by user some million at a time.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from llmrec_assets.core import histories as core
from llmrec_assets.sql import increments
from llmrec_assets.sql.builds import code_of
from llmrec_assets.sql.s2_tables import CLEAN, ITEM_TEXTS, USER_SEQUENCES
from llmrec_assets.sql.shards import BELONGS, ShardedRows
from llmrec_assets.sql.tables import read_columns

CHUNK = 1 << 20  # events that are made to lists at a time, and at least one user's

# Of an increment's few users, so that the events of all are looked through once.
TOUCHED_EVENTS = f"""
select user_id, time, seq, item_id, behavior from {CLEAN}
where {BELONGS} and {increments.IS_TOUCHED}
"""
USERS = f"""
select (row_number() over (order by user_id) - 1)::integer as number, user_id, n_events
from (select user_id, count(*) as n_events from {CLEAN} where {BELONGS} group by user_id)
"""
ITEMS = f"""
select (row_number() over (order by item_id) - 1)::integer as number, item_id, title
from {ITEM_TEXTS.full_name}
where item_id in (select item_id from {CLEAN} where {BELONGS})
"""
BEHAVIORS = f"""
select (row_number() over (order by behavior) - 1)::integer as number, behavior,
    coalesce(word, behavior) as word
from (select distinct behavior from {CLEAN} where {BELONGS}) left join words using (behavior)
"""
ORDERED = f"""
select users.number as of_user, time, items.number as of_item, behaviors.number as of_behavior
from (select * from {CLEAN} where {BELONGS}) as events
join history_users as users using (user_id) join history_items as items using (item_id)
join history_behaviors as behaviors using (behavior)
order by of_user, time, seq
"""
NUMBERED = {"history_users": USERS, "history_items": ITEMS, "history_behaviors": BEHAVIORS}


def code() -> str:
    """All that decides what the rows are, for `builds.settings_hash`."""
    return code_of([TOUCHED_EVENTS, *NUMBERED.values(), ORDERED], core)


def histories(reading: Mapping[str, object], touched: bool = False) -> ShardedRows:
    """The histories of users, for user_sequences.

    Needs the tables item_texts and `words`. `reading` has joiner, separator and history_length.
    `touched`: only of users in the table `touched_users`.
    """
    return ShardedRows(
        USER_SEQUENCES.full_name,
        touched_rows if touched else rows,
        reading,
        {CLEAN: "user_id, time, seq, item_id, behavior"},
        (ITEM_TEXTS.full_name, "words"),
    )


def touched_rows(
    connection: duckdb.DuckDBPyConnection, parameters: Mapping[str, Any]
) -> Iterator[pa.Table]:
    """As `rows`, of the users in the table `touched_users`."""
    shard = _of_shard(parameters)
    connection.execute(f"create or replace temp table touched_events as {TOUCHED_EVENTS}", shard)
    yield from rows(connection, parameters, "touched_events")
    connection.execute("drop table touched_events")


def rows(
    connection: duckdb.DuckDBPyConnection, parameters: Mapping[str, Any], source: str = CLEAN
) -> Iterator[pa.Table]:
    """The histories of a shard's users, in order of user_id; at least one table, without rows.

    Args:
        connection: that has the tables.
        parameters: those of `histories` and of the shard.
        source: the table of the events.
    """
    shard = _of_shard(parameters)
    for name, query in NUMBERED.items():
        query = query.replace(f"from {CLEAN}", f"from {source}")
        connection.execute(f"create or replace temp table {name} as {query}", shard)
    query = ORDERED.replace(f"from {CLEAN}", f"from {source}")
    connection.execute(f"create or replace temp table history_events as {query}", shard)
    items = _named(connection, "item_id, title", "history_items")
    behaviors = _named(connection, "behavior, word", "history_behaviors")
    for first, last in _chunks(connection):
        user_ids, events = _events(connection, first, last)
        made = core.histories(
            events, items, behaviors, parameters["history_length"],
            parameters["joiner"], parameters["separator"],
        )  # fmt: skip
        yield pa.table({"user_id": user_ids, **made})
    for name in ("history_events", *NUMBERED):
        connection.execute(f"drop table {name}")


def _of_shard(parameters: Mapping[str, object]) -> dict[str, object]:
    return {name: parameters[name] for name in ("shard_index", "shard_count")}


def _named(connection: duckdb.DuckDBPyConnection, columns: str, table: str) -> core.Named:
    query = f"select {columns} from {table} order by number"
    found = connection.sql(query).to_arrow_table()
    return core.Named(*(column.combine_chunks() for column in found.columns))


def _chunks(connection: duckdb.DuckDBPyConnection) -> list[tuple[int, int]]:
    """The first and the last user of each; one without users where there are none."""
    counts = read_columns(connection, "select n_events from history_users order by number")
    if not len(counts["n_events"]):
        return [(0, -1)]
    begins = np.cumsum(counts["n_events"]) - counts["n_events"]
    firsts = np.flatnonzero(np.diff(begins // CHUNK, prepend=-1)).tolist()
    ends = [*firsts[1:], len(begins)]
    return [(first, end - 1) for first, end in zip(firsts, ends, strict=True)]


def _events(
    connection: duckdb.DuckDBPyConnection, first: int, last: int
) -> tuple[pa.ChunkedArray, core.OrderedEvents]:
    """The ids of some users, and their events."""
    users = connection.sql(
        "select user_id, n_events from history_users where number between ? and ? order by number",
        params=[first, last],
    ).to_arrow_table()
    # In the order of the table, which DuckDB keeps where one table is read.
    events = read_columns(
        connection,
        "select time, of_item, of_behavior from history_events where of_user between ? and ?",
        [first, last],
    )
    return users["user_id"], core.OrderedEvents(
        users["n_events"].to_numpy(), events["time"], events["of_item"], events["of_behavior"]
    )
