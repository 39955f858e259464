"""One number for the content of a table: equal rows in any order give it, whoever made them.

Each row is written as text, and the low halves of the md5 of all rows are added up. The text, the
md5 and the sum are the same in every engine, version, order and number of shards, which DuckDB
does not promise of its `hash`. A sum can also be followed through a change: take off what the
changed rows were, add what they are.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb

from llmrec_assets.sql.tables import Column, Table

MODULUS = 1 << 64
SIGNIFICANT_DIGITS = 9  # a parallel sum of floats differs in its last ones from run to run
# Most floats are whole, and these read the same at a third of the cost. -0 is 0.
NUMBER = """case when {0} = trunc({0}) and abs({0}) < 1e9 then ({0}::integer)::varchar
    when isnan({0}) then 'nan' else printf('%.{1}g', {0}::double) end"""
LIST = "array_to_string(list_transform({0}, lambda v: coalesce(strlen(v) || ':' || v, '-')), ',')"


@dataclass(frozen=True)
class Fingerprint:
    """Of some rows of a table."""

    rows: int
    total: int  # of the rows' hashes, modulo 2**64

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
        ValueError: a column is of a type that has no canonical text yet.
    """
    rows, total = connection.execute(
        f"select count(*), coalesce(sum(md5_number_lower({row_text(table)})), 0)"
        f" from {table.full_name} where {condition}",
        parameters,
    ).fetchall()[0]
    return Fingerprint(rows, int(total) % MODULUS)


def row_text(table: Table) -> str:
    """The expression of a row's canonical text: which values are null, then the others."""
    columns = [column for column in table.columns if not column.clock]
    nulls = " + ".join(
        f"if({column.name} is null, {1 << place}::ubigint, 0)"
        for place, column in enumerate(columns)
    )
    values = [value for column in columns for value in _values(column)]
    return f"concat_ws(',', {', '.join([nulls, *values])})"  # it skips what is null


def _values(column: Column) -> list[str]:
    """The expressions of a value's text."""
    match column.type:
        case "varchar":
            # The length keeps a text apart from its neighbours.
            return [f"strlen({column.name})", column.name]
        case "bigint" | "ubigint" | "integer" | "smallint":
            return [column.name]
        case "double" | "float":
            return [NUMBER.format(column.name, SIGNIFICANT_DIGITS)]
        case "boolean":
            return [f"{column.name}::int"]
        case "timestamp" | "date":
            return [f"epoch_us({column.name}::timestamp)"]
        case "varchar[]":
            return [f"len({column.name})", LIST.format(column.name)]
    raise ValueError(f"column {column.name}: say how a {column.type} reads in a fingerprint")
