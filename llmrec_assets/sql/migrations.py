"""The version of a store's tables, and how an older store comes up to date: all of it, or none.

What is derived, such as stages 2 to 4, is dropped where its form is another now: the next run makes
it anew. What no run could make again (raw events, ledgers, decisions, the cache of vectors) is
migrated by a function of its own, to be appended to `MIGRATIONS`. New columns need none of this:
`Table.create` adds them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import duckdb

from llmrec_assets.sql import (
    monitoring,
    persons,
    s1_retention,
    s1_tables,
    s2_tables,
    s3_embeddings,
    s4_tables,
    s5_gate,
    s5_model,
    s5_off_policy,
    s6_recommendations,
    s7_tables,
)
from llmrec_assets.sql.builds import builds_of
from llmrec_assets.sql.tables import Column, Table

SCHEMA_VERSION = Table(
    "meta",
    "schema_version",
    (
        Column("version", "integer", "1, 2, … in the order of the migrations."),
        Column("says", "varchar", "What the migration did."),
        Column("applied_at", "timestamp", "When, UTC.", clock=True),
    ),
    primary_key=("version",),
)


def _all(*modules: object) -> tuple[Table, ...]:
    return tuple(t for module in modules for t in vars(module).values() if isinstance(t, Table))


KEPT_OF_STAGE_3 = (
    s3_embeddings.TEXT_VECTORS,
    s3_embeddings.ITEM_ENCODER,
    s3_embeddings.ENCODING_RUNS,
)
DERIVED = tuple(
    table for table in _all(s2_tables, s3_embeddings, s4_tables) if table not in KEPT_OF_STAGE_3
)
_WITH_PRECIOUS = (
    s1_tables,
    s1_retention,
    s5_gate,
    s5_model,
    s5_off_policy,
    s6_recommendations,
    s7_tables,
    persons,
    monitoring,
)
PRECIOUS = KEPT_OF_STAGE_3 + tuple(table for table in _all(*_WITH_PRECIOUS) if table not in DERIVED)


class NewerStore(Exception):
    """The store was written by a newer version of this code."""


class WrongSchema(Exception):
    """A table that no run can make again has a form that this code does not know."""


@dataclass(frozen=True)
class Migration:
    """From the version before to this one."""

    says: str
    apply: Callable[[duckdb.DuckDBPyConnection], None]


def _tell_kinds_of_retractions(connection: duckdb.DuckDBPyConnection) -> None:
    """What was taken back were files of events; the kind is part of the key since items may be."""
    table = s1_tables.RETRACTIONS
    form = _form(connection, table)
    if form is None or form.key == table.primary_key:
        return
    connection.execute(f"create or replace temp table taken_back as from {table.full_name}")
    connection.execute(f"drop table {table.full_name}")
    table.create(connection)
    table.insert(connection, "select *, 'events' as kind from taken_back")
    connection.execute("drop table taken_back")


def _forget_builds(connection: duckdb.DuckDBPyConnection) -> None:
    """So that nothing is taken for up to date."""
    for schema in sorted({table.schema for table in DERIVED}):
        connection.execute(f"drop table if exists {builds_of(schema).full_name}")


def _drop_blocks_of_fingerprints(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("drop table if exists s1_raw_events.event_blocks")


# In order; the place in the list, from 1, is the version. Never change one that was released.
MIGRATIONS: tuple[Migration, ...] = (
    Migration("the store tells its version, and the kind of what was taken back",
              _tell_kinds_of_retractions),
    Migration("builds tell fingerprints: tables are built whole once", _forget_builds),
    Migration("the fingerprint of raw_events needs no table", _drop_blocks_of_fingerprints),
)  # fmt: skip


def version_of(connection: duckdb.DuckDBPyConnection) -> int | None:
    """The version of a store: 0 from before it was told, None of one without any table."""
    tables = {
        f"{schema}.{name}"
        for schema, name in connection.execute(
            "select schema_name, table_name from duckdb_tables() where not internal"
        ).fetchall()
    }
    if SCHEMA_VERSION.full_name in tables:
        query = f"select coalesce(max(version), 0) from {SCHEMA_VERSION.full_name}"
        return int(connection.execute(query).fetchall()[0][0])
    return 0 if tables else None


def migrate(
    connection: duckdb.DuckDBPyConnection, migrations: Sequence[Migration] = MIGRATIONS
) -> list[str]:
    """Bring a store up to date within the caller's transaction; what was done, in words.

    Raises:
        NewerStore: the store knows a migration that this code does not.
        WrongSchema: a table that is kept has another form afterwards.
    """
    before = version_of(connection)
    if before == len(migrations):
        return []
    if before is not None and before > len(migrations):
        raise NewerStore(
            f"the store has tables of version {before}, this code knows {len(migrations)} →"
            " install the newer llmrec-assets that wrote it, or llmrec restore a backup of before"
        )
    SCHEMA_VERSION.create(connection)
    done = []
    for version, migration in enumerate(migrations, start=1):
        if before is not None and version <= before:
            continue
        if before is not None:
            migration.apply(connection)
            done.append(migration.says)
        SCHEMA_VERSION.insert(
            connection,
            "select ? as version, ? as says, now()::timestamp as applied_at",
            [version, migration.says],
        )
    if before is not None:
        done += [f"{name} is made anew by the next run" for name in _drop_outdated(connection)]
        _require_known_forms(connection)
    return done


def _drop_outdated(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Drop derived tables of another form, and with them what is known of builds; their names."""
    dropped = [t.full_name for t in DERIVED if _form(connection, t) not in (None, _wanted(t))]
    for name in dropped:
        connection.execute(f"drop table if exists {name}")
    if dropped:
        _forget_builds(connection)
    return dropped


def _require_known_forms(connection: duckdb.DuckDBPyConnection) -> None:
    for table in PRECIOUS:
        form = _form(connection, table)
        wanted = _wanted(table)
        # Columns that are missing are added when the table is next written to.
        if form and (form.key != wanted.key or not form.columns.items() <= wanted.columns.items()):
            odd = dict(form.columns.items() - wanted.columns.items())
            raise WrongSchema(
                f"{table.full_name} has {odd or f'the key {form.key}'}, which this code does not"
                " know; nothing was changed → llmrec restore a backup, or move the DuckDB file"
                " away: landing/ has all events"
            )


@dataclass(frozen=True)
class _Form:
    columns: dict[str, str]  # name → type
    key: tuple[str, ...]


def _form(connection: duckdb.DuckDBPyConnection, table: Table) -> _Form | None:
    """As the table stands in the store; None where it is missing."""
    columns = connection.execute(
        "select column_name, data_type from duckdb_columns()"
        " where schema_name = ? and table_name = ? order by column_index",
        [table.schema, table.name],
    ).fetchall()
    keys = connection.execute(
        "select constraint_column_names from duckdb_constraints() where schema_name = ?"
        " and table_name = ? and constraint_type = 'PRIMARY KEY'",
        [table.schema, table.name],
    ).fetchall()
    return _Form(dict(columns), tuple(keys[0][0]) if keys else ()) if columns else None


def _wanted(table: Table) -> _Form:
    """As the code declares it, in DuckDB's own words for the types."""
    with duckdb.connect(":memory:") as connection:
        table.create(connection)
        form = _form(connection, table)
    if form is None:
        raise RuntimeError(f"{table.full_name} cannot be made")
    return form
