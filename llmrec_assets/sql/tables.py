"""How a table is declared: once, for its DDL, its documentation and its lineage.

Identifiers are interpolated from these declarations, which are constants of the code; values
never are: they travel as parameters.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa


@dataclass(frozen=True)
class Column:
    """One column.

    `sources` names the columns it is computed from, as `schema.table.column`. `private` columns
    (user ids, free text) are never shown in previews. A `clock` tells when something was done, or
    how long it took: it differs where the content does not, and fingerprints leave it out.
    `compression` is one of DuckDB's, where trying out all of them costs more than it gains.
    """

    name: str
    type: str
    description: str
    sources: tuple[str, ...] = ()
    private: bool = False
    clock: bool = False
    compression: str = ""

    @property
    def ddl(self) -> str:
        """As it stands inside `create table (…)`."""
        kept = f" using compression {self.compression}" if self.compression else ""
        return f"{self.name} {self.type}{kept}"


@dataclass(frozen=True)
class Table:
    """One table of one stage's schema."""

    schema: str
    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()

    @property
    def full_name(self) -> str:
        """`schema.name`."""
        return f"{self.schema}.{self.name}"

    @property
    def column_names(self) -> str:
        """The columns in order, for an insert."""
        return ", ".join(column.name for column in self.columns)

    @property
    def ddl(self) -> str:
        """The columns and key as they stand inside `create table (…)`."""
        lines = [column.ddl for column in self.columns]
        if self.primary_key:
            lines.append(f"primary key ({', '.join(self.primary_key)})")
        return ", ".join(lines)

    def create(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Make the table where it is missing, and columns that an older store lacks, as null."""
        connection.execute(f"create schema if not exists {self.schema}")
        connection.execute(f"create table if not exists {self.full_name} ({self.ddl})")
        described = connection.execute(f"describe {self.full_name}").fetchall()
        known = {name for name, *_ in described}
        for column in self.columns:
            if column.name not in known:
                connection.execute(
                    f"alter table {self.full_name} add column {column.name} {column.type}"
                )

    def is_there(self, connection: duckdb.DuckDBPyConnection) -> bool:
        """Whether the table is there with these columns."""
        found = connection.execute(
            "select column_name from duckdb_columns() where schema_name = ? and table_name = ?"
            " order by column_index",
            [self.schema, self.name],
        ).fetchall()
        return [name for (name,) in found] == [column.name for column in self.columns]

    def clear(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Make the table anew, without rows."""
        connection.execute(f"create schema if not exists {self.schema}")
        connection.execute(f"create or replace table {self.full_name} ({self.ddl})")

    def insert(
        self, connection: duckdb.DuckDBPyConnection, query: str, parameters: object = None
    ) -> None:
        """Add the rows of `query`, whose columns are matched by name."""
        connection.execute(f"insert into {self.full_name} by name ({query})", parameters)

    def replace(
        self, connection: duckdb.DuckDBPyConnection, query: str, parameters: object = None
    ) -> int:
        """Make the table hold exactly the rows of `query`; the number of rows.

        The columns of `query` are matched by name.
        """
        self.clear(connection)
        self.insert(connection, query, parameters)
        return self.count(connection)

    def count(self, connection: duckdb.DuckDBPyConnection) -> int:
        """How many rows the table has."""
        return connection.execute(f"select count(*) from {self.full_name}").fetchall()[0][0]


def read_columns(
    connection: duckdb.DuckDBPyConnection, query: str, parameters: object = None
) -> dict[str, np.ndarray]:
    """The rows of `query` as one array per column."""
    columns = connection.execute(query, parameters).fetchnumpy()
    return {name: np.asarray(values) for name, values in columns.items()}


def append(connection: duckdb.DuckDBPyConnection, table: str, rows: pa.Table) -> None:
    """Add rows to a table, columns by name.

    A table that is registered instead is kept until the transaction ends, even when it is
    unregistered at once.

    Raises:
        KeyError: the rows lack a column of the table.
    """
    columns = connection.execute(f"describe {table}").fetchall()
    connection.from_arrow(rows.select([name for name, *_ in columns])).insert_into(table)


_BATCH = 1 << 17  # rows


def read_into(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    parameters: object,
    arrays: Mapping[str, np.ndarray],
) -> int:
    """Fill each array from its start with the column of its name; how many rows there were.

    The rows are never held together, but where the arrays lie.
    """
    batches = connection.sql(query, params=parameters).to_arrow_reader(_BATCH)
    start = 0
    for batch in batches:
        end = start + batch.num_rows
        for name, array in arrays.items():
            array[start:end] = batch.column(name).to_numpy(zero_copy_only=False)
        start = end
    return start
