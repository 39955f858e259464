"""What each table was built from: so that the next build does only what has changed since.

Every derived table is either built whole or brought up to date; both leave the same rows. Builds
of clean_events are numbered, and what one touched is kept for a while (see `increments`). A table
that knows up to which build it is up to date needs only what came after. Whatever else could change
its rows, such as settings, the dictionary, the SQL itself or DuckDB, is part of `settings`: where
that differs, it is built whole.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType

import duckdb

from llmrec_assets.sql.fingerprints import Fingerprint
from llmrec_assets.sql.tables import Column, Table

ASKED = "it was asked for"
FIRST = "first build"
SETTINGS = "settings, dictionary or code changed"
OUTSIDE = "rows were changed from outside"
BEHIND = "what it is made of was rebuilt, or is many builds ahead"


@dataclass(frozen=True)
class Build:
    """One build of one table."""

    number: int  # build of clean_events that it is up to date with
    whole_since: int  # number of its last whole build
    settings: str  # hash of all that its rows depend on beside other rows
    content: Fingerprint  # of the table afterwards
    reason: str  # why it was built whole; empty for an increment
    rows_recomputed: int
    users_touched: int
    state: dict[str, object] = field(default_factory=dict)  # what the next increment needs to know

    @property
    def rows(self) -> int:
        """That the table had afterwards."""
        return self.content.rows


@cache
def builds_of(schema: str) -> Table:
    """The table of the builds of a schema."""
    return Table(
        schema,
        "builds",
        (
            Column("table_name", "varchar", "What was built."),
            Column("number", "bigint", "The build of clean_events that it is up to date with."),
            Column("whole_since", "bigint", "The number of its last whole build."),
            Column("settings", "varchar", "Hash of settings, dictionary and SQL."),
            Column("rows", "bigint", "Rows of the table."),
            Column("total", "ubigint", "Sum of their hashes, as in the table's fingerprint."),
            Column("reason", "varchar", "Why it was built whole; empty for an increment."),
            Column("rows_recomputed", "bigint", "Rows that were made or changed."),
            Column("users_touched", "bigint", "Users of events that came, went or changed."),
            Column("state", "varchar", "JSON: what the next increment has to know."),
            Column("built_at", "timestamp", "UTC.", clock=True),
        ),
        primary_key=("table_name",),
    )


def settings_hash(connection: duckdb.DuckDBPyConnection, *parts: object) -> str:
    """Hash of settings, of texts of SQL and of the version of DuckDB."""
    (version,), *_ = connection.execute("select version()").fetchall()
    told = json.dumps([version, *parts], sort_keys=True, default=str)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def words_of(connection: duckdb.DuckDBPyConnection) -> list[tuple[object, ...]]:
    """The behaviour dictionary in use, for `settings_hash`."""
    return connection.execute("from words order by all").fetchall()


def last_build(connection: duckdb.DuckDBPyConnection, table: Table) -> Build | None:
    """The newest build of a table; None where nothing is known of it."""
    builds = builds_of(table.schema)
    if not (builds.is_there(connection) and table.is_there(connection)):
        return None
    found = connection.execute(
        f"""select number, whole_since, settings, rows, total, reason, rows_recomputed,
            users_touched, state from {builds.full_name} where table_name = ?""",
        [table.name],
    ).fetchall()
    if not found:
        return None
    number, since, settings, rows, total, reason, recomputed, users, state = found[0]
    content, told = Fingerprint(rows, total), json.loads(state)
    return Build(number, since, settings, content, reason, recomputed, users, told)


def why_whole(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    last: Build | None,
    settings: str,
    rebuild: bool,
) -> str:
    """Why a table cannot be brought up to date as far as it can tell itself; else empty."""
    if rebuild:
        return ASKED
    if last is None:
        return FIRST
    if last.settings != settings:
        return SETTINGS
    return "" if table.count(connection) == last.rows else OUTSIDE


def record(connection: duckdb.DuckDBPyConnection, table: Table, build: Build) -> None:
    """Note what a table was built from."""
    builds = builds_of(table.schema)
    builds.create(connection)
    values = vars(build) | vars(build.content)
    values |= {"table_name": table.name, "state": json.dumps(build.state)}
    del values["content"]
    selected = ", ".join(f"${name} as {name}" for name in values)
    connection.execute(
        f"insert or replace into {builds.full_name} by name"
        f" (select {selected}, now()::timestamp as built_at)",
        values,
    )


def metadata(connection: duckdb.DuckDBPyConnection, table: Table) -> dict[str, int | str]:
    """What a materialisation shows of the newest build of its table."""
    build = last_build(connection, table)
    if build is None:
        return {}
    return {
        "build": f"full: {build.reason}" if build.reason else "increment",
        "rows_recomputed": build.rows_recomputed,
        "users_touched": build.users_touched,
    }


def code_of(queries: Iterable[str], *modules: ModuleType) -> str:
    """One part of `settings_hash`: the text of queries and the source of modules."""
    sources = (Path(str(module.__file__)).read_text(encoding="utf-8") for module in modules)
    return "\n".join([*queries, *sources])
