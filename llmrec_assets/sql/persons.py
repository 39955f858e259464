"""What the warehouse holds on one user, and how it forgets it.

A user stands in columns named user_id, and in the texts of rows that could not be read.
"""

import re

import duckdb
import pandas as pd

from llmrec_assets.sql.s1_deletions import delete_events
from llmrec_assets.sql.s5_model import TEMPORAL_MODEL
from llmrec_assets.sql.tables import Column, Table

ERASURES = Table(
    "s1_raw_events",
    "erasures",
    (
        Column("erased_at", "timestamp", "UTC. Nothing here says who it was.", clock=True),
        Column("rows", "bigint", "Rows of all tables that were forgotten."),
        Column("files", "bigint", "Landing files that had rows of the user."),
        Column("model_versions", "varchar[]", "Versions whose training had seen the user."),
        Column("texts_left", "varchar[]", "Hashes of texts whose vectors are still to be wiped;"
               " null once that is done."),
    ),
)  # fmt: skip

# Kind of landing files → where their hashes stand, the ledger first.
_HASHES = {
    "events": (
        ("s1_raw_events.files", "content_hash"),
        ("s1_raw_events.raw_events", "file_hash"),
        ("s1_raw_events.rejected_events", "file_hash"),
        ("s1_raw_events.repairs", "file_hash"),
        ("s1_raw_events.repairs", "of_hash"),
        ("s1_raw_events.retractions", "content_hash"),
    ),
    "feedback": (("s7_feedback.files", "content_hash"), ("s7_feedback.feedback", "file_hash")),
    "lists": (("s7_feedback.list_files", "content_hash"),),
}
_IDENTIFIERS = ("list_id", "item_id", "event_id", "feedback_id", "text_key", "file_hash")


def tables_of_users(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Every table that has a column user_id, as schema.name."""
    return [
        f"{schema}.{name}"
        for schema, name in connection.execute(
            """select schema_name, table_name from duckdb_columns() join duckdb_tables()
            using (database_name, schema_name, table_name)
            where column_name = 'user_id' and not temporary and not duckdb_columns.internal
            order by all"""
        ).fetchall()
    ]


def every_user(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Whoever any table names."""
    named = " union ".join(f"select user_id from {t}" for t in tables_of_users(connection))
    return [user for (user,) in connection.execute(named).fetchall() if user is not None]


def rows_of_user(connection: duckdb.DuckDBPyConnection, user: str) -> dict[str, pd.DataFrame]:
    """Table → the rows that are the user's; tables without any are left out."""
    found = {
        table: connection.execute(f"from {table} where user_id = ?", [user]).df()
        for table in tables_of_users(connection)
    }
    return {table: rows for table, rows in found.items() if len(rows)}


def versions_that_saw(connection: duckdb.DuckDBPyConnection, user: str) -> list[str]:
    """Model versions that were trained on events of the user."""
    if not TEMPORAL_MODEL.is_there(connection):
        return []
    return [
        row[0]
        for row in connection.execute(
            f"""select distinct model_version from {TEMPORAL_MODEL.full_name}
            where trained and trained_through >= (
                select min(seq) from s1_raw_events.raw_events where user_id = ?)
            order by all""",
            [user],
        ).fetchall()
    ]


def personal_texts(connection: duckdb.DuckDBPyConnection, user: str) -> set[str]:
    """Keys of texts that tell of this user and of nobody else: histories and reviews."""
    if not has_texts(connection):
        return set()
    rows = connection.execute(
        """with events as (
            select user_id, behavior, item_id, details from s2_sequences.clean_events
            join s2_sequences.event_details using (seq)
        ), theirs as (
            select text_key from s3_embeddings.text_features where user_id = $user
            union
            select text_key from s3_embeddings.text_features as texts join events
                using (behavior, item_id, details) where events.user_id = $user
        ), others as (
            select text_key from s3_embeddings.text_features as texts join events
                using (behavior, item_id, details) where events.user_id <> $user
            union
            select text_key from s3_embeddings.text_features
                where kind = 'item' or user_id <> $user or (kind = 'step' and details = '')
        )
        select text_key from theirs except select text_key from others""",
        {"user": user},
    ).fetchall()
    return {row[0] for row in rows if row[0]}


def forget_user(connection: duckdb.DuckDBPyConnection, user: str) -> int:
    """Delete the user's rows of every table, and of rejected rows their text; how many."""
    rows = delete_events(connection, "user_id = ?", [user])
    for table in tables_of_users(connection):
        deleted = connection.execute(f"delete from {table} where user_id = ?", [user])
        rows += deleted.fetchall()[0][0]
    for table, column in rejected_texts(connection):
        changed = connection.execute(
            f"""update {table} set "{column}" = null where regexp_matches("{column}", ?)""",
            [as_word(user)],
        )
        rows += changed.fetchall()[0][0]
    return rows


def rejected_texts(connection: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    """Tables of rejected rows, with the column of their text."""
    return [
        (f"{schema}.{name}", "row")
        for schema, name in connection.execute(
            """select schema_name, table_name from duckdb_columns()
            where column_name = 'row' and table_name like 'rejected_%' order by all"""
        ).fetchall()
    ]


def note_hash(
    connection: duckdb.DuckDBPyConnection, kind: str, old: str, new: str, names: tuple[str, str]
) -> None:
    """A landing file has another content, and perhaps name, but what came of it stays.

    Args:
        connection: of the warehouse.
        kind: events, feedback or lists.
        old: SHA-256 of the file as it came in.
        new: of the file as it is now.
        names: its name then and now.
    """
    _merge(connection, kind, old, new)
    for table, column in _HASHES[kind]:
        if is_there(connection, table):
            connection.execute(f"update {table} set {column} = ? where {column} = ?", [new, old])
    files = _HASHES[kind][0][0]
    if is_there(connection, files):
        connection.execute(
            f"update {files} set name = ? where content_hash = ? and name = ?",
            [names[1], new, names[0]],
        )
    if kind == "events" and "s7_feedback.feedback" in tables_of_users(connection):
        connection.execute(
            "update s7_feedback.feedback set returned_in = ? where returned_in = ?", names[::-1]
        )


def _merge(connection: duckdb.DuckDBPyConnection, kind: str, old: str, new: str) -> None:
    """Two files may be alike once rows are gone: the ledger then keeps one, and what both added."""
    ledger = _HASHES[kind][0][0]
    known = f"select 1 from {ledger} where content_hash = ?"
    if old == new or not is_there(connection, ledger):
        return
    if not (connection.execute(known, [old]).fetchall()
            and connection.execute(known, [new]).fetchall()):  # fmt: skip
        return
    connection.execute(
        f"""update {ledger} as f set rows = f.rows + o.rows, accepted = f.accepted + o.accepted,
            duplicates = f.duplicates + o.duplicates, rejected = f.rejected + o.rejected
        from (from {ledger} where content_hash = ?) as o where f.content_hash = ?""",
        [old, new],
    )
    connection.execute(f"delete from {ledger} where content_hash = ?", [old])
    if kind == "events":
        _merge_repairs(connection, old, new)


def _merge_repairs(connection: duckdb.DuckDBPyConnection, old: str, new: str) -> None:
    """A row of both is a repair if it was one in either, and taken back once."""
    repairs, retractions = "s1_raw_events.repairs", "s1_raw_events.retractions"
    if is_there(connection, repairs):
        both = f"select kind, line from {repairs} where file_hash = $new"
        connection.execute(
            f"""update {repairs} as r set reason = null from {repairs} as o
            where r.file_hash = $new and o.file_hash = $old and (r.kind, r.line) = (o.kind, o.line)
                and o.reason is null""",
            {"old": old, "new": new},
        )
        connection.execute(
            f"delete from {repairs} where file_hash = $old and (kind, line) in ({both})",
            {"old": old, "new": new},
        )
    if is_there(connection, retractions):
        connection.execute(
            f"""delete from {retractions} where content_hash = $old and kind in (
                select kind from {retractions} where content_hash = $new)""",
            {"old": old, "new": new},
        )


def has_texts(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether texts of events were ever encoded."""
    tables = ("s2_sequences.clean_events", "s2_sequences.event_details",
              "s3_embeddings.text_features")  # fmt: skip
    return all(is_there(connection, table) for table in tables)


def is_there(connection: duckdb.DuckDBPyConnection, table: str) -> bool:
    """Whether a table, as schema.name, was made: a stage that never ran has none."""
    query = "select 1 from duckdb_tables() where schema_name || '.' || table_name = ?"
    return bool(connection.execute(query, [table]).fetchall())


def record_erasure(
    connection: duckdb.DuckDBPyConnection,
    rows: int,
    files: int,
    versions: list[str],
    texts: set[str],
) -> None:
    """Note that somebody was erased, not who, and whose texts' vectors are still to be wiped."""
    ERASURES.create(connection)
    connection.execute(
        f"insert into {ERASURES.full_name} by name select now()::timestamp as erased_at,"
        " ?::bigint as rows, ?::bigint as files, ?::varchar[] as model_versions,"
        " ?::varchar[] as texts_left",
        [rows, files, versions, sorted(texts)],
    )


def texts_left(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Keys of texts of erased users whose vectors are still to be wiped."""
    ERASURES.create(connection)
    rows = connection.execute(
        f"select distinct unnest(texts_left) from {ERASURES.full_name} order by all"
    ).fetchall()
    return [key for (key,) in rows]


def finish_erasures(connection: duckdb.DuckDBPyConnection) -> None:
    """Note that no vector is left to be wiped."""
    connection.execute(f"update {ERASURES.full_name} set texts_left = null")


def mentions(connection: duckdb.DuckDBPyConnection, user: str, telling: bool) -> dict[str, int]:
    """Column → rows that name the user; beside user_id also other texts where the id is telling."""
    columns = connection.execute(
        """select database_name, schema_name, table_name, column_name
        from duckdb_columns() where not internal
            and (column_name = 'user_id'
                or regexp_matches(data_type, 'VARCHAR|JSON|ENUM|BLOB'))  -- also within lists
        order by all"""
    ).fetchall()
    found = {}
    for database, schema, table, column in columns:
        if column != "user_id" and (not telling or column in _IDENTIFIERS):
            continue
        text = f'"{column}"::varchar'
        test, value = (f"{text} = ?", user) if column == "user_id" else (
            f"regexp_matches({text}, ?)", as_word(user))  # fmt: skip
        query = f'select count(*) from "{database}"."{schema}"."{table}" where {test}'
        rows = connection.execute(query, [value]).fetchall()[0][0]
        if rows:
            found[f"{schema}.{table}.{column}"] = rows
    return found


def as_word(user: str) -> str:
    """A regular expression that finds the id where it is no part of a longer one."""
    return rf"(^|[^\pL\pN_-]){re.escape(user)}($|[^\pL\pN_-])"
