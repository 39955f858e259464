"""What is too old to be kept: when rows went for their age, and what may not come in again.

The age of an event, a response or a list is that of its own time. A row without a readable time is
as old as its arrival.
"""

from datetime import datetime

import duckdb

from llmrec_assets.sql import persons
from llmrec_assets.sql.s1_deletions import delete_events
from llmrec_assets.sql.s1_tables import RAW_EVENTS, RETRACTIONS
from llmrec_assets.sql.s5_model import TEMPORAL_MODEL
from llmrec_assets.sql.tables import Column, Table

SCHEMA = "s1_raw_events"
TOO_OLD = "older than the retention"
NO_AGE = (
    "times are relative steps, which have no age, and this store forgets by age: give absolute"
    " times"
)

EXPIRIES = Table(
    SCHEMA,
    "expiries",
    (
        Column("started_at", "timestamp", "UTC."),
        Column("before", "timestamp", "UTC. What is older was forgotten, and is refused where it"
               " comes in again."),
        Column("rows", "bigint", "Rows of all tables that went; null until that is done."),
        Column("files", "bigint", "Landing files that had such rows."),
        Column("model_versions", "varchar[]", "Versions whose training had seen such events."),
        Column("texts_left", "varchar[]", "Hashes of texts whose vectors are to be wiped where"
               " nothing has them any more; null once that is done."),
    ),
)  # fmt: skip
FILE_AGES = Table(
    SCHEMA,
    "file_ages",
    (
        Column("kind", "varchar", "events, feedback or lists."),
        Column("content_hash", "varchar", "SHA-256 of the landing file."),
        Column("oldest", "timestamp", "Of its rows: before this need not be looked for."),
    ),
    primary_key=("kind", "content_hash"),
)
# Tables that are forgotten by a time of their own, and its column.
_DATED = (
    ("s7_feedback.feedback", "timestamp"),
    ("s7_feedback.served_lists", "generated_at"),
    ("s6_recommendations.recommendations", "generated_at"),
)
_ACTS = (RAW_EVENTS.full_name, "s7_feedback.feedback", "s7_feedback.served_lists")
_LEDGERS = {
    "events": f"(from {SCHEMA}.files where kind = 'events')",
    "feedback": "s7_feedback.files",
    "lists": "s7_feedback.list_files",
}


class RelativeTimes(Exception):
    """The store has times without an age; the message says where and what to do."""


def times_forgotten(connection: duckdb.DuckDBPyConnection) -> int:
    """How often somebody was erased, something old expired or a batch was taken back."""
    tables = (persons.ERASURES, EXPIRIES, RETRACTIONS)
    return sum(table.count(connection) for table in tables if table.is_there(connection))


def create_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the tables where they are missing."""
    for table in (EXPIRIES, FILE_AGES):
        table.create(connection)


def too_old(time: str) -> str:
    """Why a row of that time (a column) may not come in; null where it may. Needs the tables."""
    last = f"(select max(before) from {EXPIRIES.full_name})"
    return f"case when {time} < {last} then '{TOO_OLD}' end"


def kept(reason: str, row: str) -> str:
    """The text of a rejected row: null where it went for its age, so that nothing of it stays."""
    return f"case when {reason} is distinct from '{TOO_OLD}' then {row} end"


def forgets(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether anything ever went for its age."""
    return EXPIRIES.is_there(connection) and EXPIRIES.count(connection) > 0


def require_ages(connection: duckdb.DuckDBPyConnection) -> None:
    """Raises RelativeTimes where an event or a response has no absolute time."""
    found = []
    for kind, table in (("events", RAW_EVENTS.full_name), ("feedback", "s7_feedback.feedback")):
        if persons.is_there(connection, table):
            found += connection.execute(
                f"""select coalesce(name, '?') as file from {table} left join {_LEDGERS[kind]}
                    on content_hash = file_hash
                where step is not null group by all order by all limit 5"""
            ).fetchall()
    if found:
        names = ", ".join(name for (name,) in found)
        raise RelativeTimes(
            f"{names}: times are relative steps, which have no age. Nothing was forgotten. Take"
            " such files back (llmrec retract FILE), or keep everything (LLMREC_RETENTION_DAYS=0)"
        )


def begin(connection: duckdb.DuckDBPyConnection, before: datetime) -> None:
    """From now on what is older is refused; goes on with what a killed process had begun."""
    create_tables(connection)
    open_ones = connection.execute(
        f"update {EXPIRIES.full_name} set before = greatest(before, ?) where rows is null", [before]
    ).fetchall()[0][0]
    if not open_ones:
        connection.execute(
            f"insert into {EXPIRIES.full_name} (started_at, before, texts_left)"
            " values (now()::timestamp, ?, [])",
            [before],
        )
    connection.execute(
        f"""update {EXPIRIES.full_name} set texts_left = list_distinct(texts_left || ?),
            model_versions = list_distinct(coalesce(model_versions, []) || ?) where rows is null""",
        [_texts(connection, before), _versions(connection, before)],
    )


def _texts(connection: duckdb.DuckDBPyConnection, before: datetime) -> list[str]:
    """Keys of the texts that may tell of old events: reviews, and histories of their users."""
    if not persons.has_texts(connection):
        return []
    rows = connection.execute(
        f"""with old as (select seq, user_id from {RAW_EVENTS.full_name} where timestamp < ?)
        select text_key from s3_embeddings.text_features
            where user_id in (select user_id from old)
        union
        select text_key from s3_embeddings.text_features join (
            select behavior, item_id, details from s2_sequences.clean_events
            join s2_sequences.event_details using (seq) where seq in (select seq from old)
        ) using (behavior, item_id, details) where details <> ''""",
        [before],
    ).fetchall()
    return sorted(key for (key,) in rows if key)


def _versions(connection: duckdb.DuckDBPyConnection, before: datetime) -> list[str]:
    """Model versions that were trained on an event of before."""
    if not TEMPORAL_MODEL.is_there(connection):
        return []
    rows = connection.execute(
        f"""select distinct model_version from {TEMPORAL_MODEL.full_name}
        where trained and trained_through >= (
            select min(seq) from {RAW_EVENTS.full_name} where timestamp < ?) order by all""",
        [before],
    ).fetchall()
    return [version for (version,) in rows]


def open_before(connection: duckdb.DuckDBPyConnection) -> datetime:
    """What the expiry that was begun forgets before."""
    query = f"select max(before) from {EXPIRIES.full_name} where rows is null"
    return connection.execute(query).fetchall()[0][0]


def forget_rows(connection: duckdb.DuckDBPyConnection, before: datetime) -> int:
    """Delete what is older, and who has nothing left, from every table; how many rows.

    Rows that are derived of what went are for the caller to make anew.
    """
    rows = delete_events(connection, "timestamp < ?", [before])
    tables = persons.tables_of_users(connection)
    for table, time in _DATED:
        if table in tables:
            gone = connection.execute(f"delete from {table} where {time} < ?", [before])
            rows += gone.fetchall()[0][0]
    acts = [f"select user_id from {table}" for table in _ACTS if table in tables]
    for table in tables:
        if table not in _ACTS:
            gone = connection.execute(
                f"delete from {table} where user_id not in ({' union '.join(acts)})"
            )
            rows += gone.fetchall()[0][0]
    return rows + _forget_rejected(connection, before)


def _forget_rejected(connection: duckdb.DuckDBPyConnection, before: datetime) -> int:
    """Of rejected rows that came in before, their text; how many."""
    rows, rejected = 0, {table for table, _ in persons.rejected_texts(connection)}
    ledgers = {"s7_feedback.rejected_feedback": "feedback", "s7_feedback.rejected_lists": "lists"}
    for table in sorted(rejected):
        old = "rejected_at < ?"
        if table in ledgers:
            old = f"file in (select name from {_LEDGERS[ledgers[table]]} where ingested_at < ?)"
        changed = connection.execute(
            f'update {table} set "row" = null where "row" is not null and {old}', [before]
        )
        rows += changed.fetchall()[0][0]
    return rows


def forget_rejected_lines(
    connection: duckdb.DuckDBPyConnection, kind: str, content_hash: str, name: str, lines: list[int]
) -> None:
    """Forget the texts of rejected rows that went from their landing file."""
    table, column, value = {
        "events": (f"{SCHEMA}.rejected_events", "file_hash", content_hash),
        "feedback": ("s7_feedback.rejected_feedback", "file", name),
        "lists": ("s7_feedback.rejected_lists", "file", name),
    }[kind]
    if persons.is_there(connection, table):
        connection.execute(
            f"""update {table} set "row" = null where {column} = ?
                and line in (select unnest(?::bigint[]))""",
            [value, lines],
        )


def finish(connection: duckdb.DuckDBPyConnection, rows: int, files: int) -> list[str]:
    """Note that the rows are gone; the versions that had seen them."""
    seen = connection.execute(
        f"""update {EXPIRIES.full_name} set rows = ?, files = ? where rows is null
        returning model_versions""",
        [rows, files],
    ).fetchall()
    return sorted({version for (versions,) in seen for version in versions or ()})


def texts_left(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Keys of texts of old events that nothing has any more; their vectors are to be wiped."""
    create_tables(connection)
    if not persons.has_texts(connection):
        return []
    rows = connection.execute(
        f"""select unnest(texts_left) from {EXPIRIES.full_name} where rows is not null
        except select text_key from s3_embeddings.text_features order by all"""
    ).fetchall()
    return [key for (key,) in rows]


def finish_texts(connection: duckdb.DuckDBPyConnection) -> None:
    """Note that no vector is left to be wiped."""
    connection.execute(f"update {EXPIRIES.full_name} set texts_left = null where rows is not null")


def came_at(connection: duckdb.DuckDBPyConnection, kind: str, content_hash: str) -> datetime | None:
    """When a landing file came in; None where it has not."""
    ledger = _LEDGERS[kind]
    if not persons.is_there(connection, f"{SCHEMA}.files" if kind == "events" else ledger):
        return None
    rows = connection.execute(
        f"select max(ingested_at) from {ledger} where content_hash = ?", [content_hash]
    ).fetchall()
    return rows[0][0]


def oldest(connection: duckdb.DuckDBPyConnection, kind: str) -> dict[str, datetime]:
    """Content hash of landing files that were read for their age → their oldest row."""
    query = f"select content_hash, oldest from {FILE_AGES.full_name} where kind = ?"
    return dict(connection.execute(query, [kind]).fetchall())


def note_oldest(
    connection: duckdb.DuckDBPyConnection, kind: str, content_hash: str, time: datetime
) -> None:
    """Remember the oldest row of a landing file, so that it is read again when that is old."""
    connection.execute(
        f"insert or replace into {FILE_AGES.full_name} values (?, ?, ?)", [kind, content_hash, time]
    )
