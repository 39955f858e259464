"""One number for the content of a table: equal rows in any order give it, whoever made them.

The hashes of all rows are added up, which no order and no number of shards changes. A sum can also
be followed through a change: take off what the changed rows were, add what they are. DuckDB's
`hash` is quick, and the same wherever the same version of DuckDB runs; another version may have
another, so builds of before it are not followed (`builds.settings_hash`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb

from llmrec_assets.sql.tables import Column, Table

MODULUS = 1 << 64
# The last digits of a parallel sum of floats differ from run to run: 26 bits are kept, by the
# splitting of Veltkamp (Dekker 1971), which multiplies by 2**27 + 1.
NUMBER = "if(abs({0}) < 1e300, {0} * 134217729 - ({0} * 134217729 - {0}), {0})"


@dataclass(frozen=True)
class Fingerprint:
    """Of some rows of a table."""

    rows: int
    total: int  # of the rows' hashes, modulo 2**64

    @staticmethod
    def of(rows: int, total: int) -> "Fingerprint":
        """Of a number of rows and the sum of their hashes."""
        return Fingerprint(rows, int(total) % MODULUS)

    def __add__(self, other: "Fingerprint") -> "Fingerprint":
        """Of these rows and those together."""
        return Fingerprint(self.rows + other.rows, (self.total + other.total) % MODULUS)

    def __sub__(self, other: "Fingerprint") -> "Fingerprint":
        """Of these rows without those."""
        return Fingerprint(self.rows - other.rows, (self.total - other.total) % MODULUS)

    def __str__(self) -> str:
        """As it stands in the metadata, such as `12-00c3…`."""
        return f"{self.rows}-{self.total:016x}"


@dataclass
class Followed:
    """The fingerprint of a table while it is built; an increment reads only the rows it changes."""

    connection: duckdb.DuckDBPyConnection
    table: Table
    known: Fingerprint | None  # of the table as it is; None: it is read whole in the end

    @contextmanager
    def changing(self, condition: str) -> Iterator[None]:
        """Rows may come, go and change meanwhile, as long as they met the condition or do then."""
        if self.known is None:
            yield
            return
        self.known -= fingerprint(self.connection, self.table, condition)
        yield
        self.known += fingerprint(self.connection, self.table, condition)

    def replace(self, gone: Fingerprint, come: Fingerprint) -> None:
        """Some rows have gone from the table, whose fingerprint was known, and others come."""
        assert self.known is not None, f"{self.table.full_name} is not followed"
        self.known += come - gone

    def of_all(self) -> Fingerprint:
        """Of the table as it is now."""
        return self.known or fingerprint(self.connection, self.table)


def fingerprint(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    condition: str = "true",
    parameters: object = None,
) -> Fingerprint:
    """Of the rows that meet `condition`, from all columns but clocks.

    Raises:
        ValueError: a column is of a type that has no canonical form yet.
    """
    rows, total = connection.execute(
        f"select count(*), coalesce(sum({row_hash(table)}), 0)"
        f" from {table.full_name} where {condition}",
        parameters,
    ).fetchall()[0]
    return Fingerprint.of(rows, total)


def row_hash(table: Table) -> str:
    """The expression of a row's hash.

    It is hashed twice: what two rows exchange in the last column would cancel out in the first one.
    """
    columns = [column for column in table.columns if not column.clock]
    return f"hash(hash({', '.join(value for column in columns for value in _values(column))}))"


def _values(column: Column) -> list[str]:
    """The expressions of what is hashed of a column."""
    match column.type:
        case "varchar" | "boolean" | "timestamp" | "date":
            return [column.name]
        case "bigint" | "ubigint" | "integer" | "smallint":
            return [column.name]
        case "double" | "float":
            return [NUMBER.format(f"{column.name}::double")]
        case "varchar[]":
            return [f"len({column.name})", column.name]  # none, and one of null, hash as null does
    raise ValueError(f"column {column.name}: say how a {column.type} reads in a fingerprint")
