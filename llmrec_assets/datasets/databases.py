"""The rows of a query on a database, as a Parquet file to be imported like any other."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from llmrec_assets.datasets.importing import ImportProblem

_SERVERS = {"postgres": "postgres", "postgresql": "postgres", "mysql": "mysql"}
_BATCH = 50_000


def fetch(source: str, query: str, target: Path) -> None:
    """Write the rows of `query` on `source` to the Parquet file `target`.

    Args:
        source: a SQLite or DuckDB file, or the URL of a PostgreSQL or MySQL server, which is
            attached by DuckDB's extension for it. It is only read.
        query: in the database's own SQL; on a server, in DuckDB's.
        target: where to write.

    Raises:
        ImportProblem: the source is none of these, or the query fails. Passwords are not shown.
    """
    scheme = source.partition("://")[0].lower()
    if scheme in _SERVERS:
        _from_duckdb(source, _SERVERS[scheme], query, target)
        return
    path = Path(source)
    if not path.is_file():
        raise ImportProblem(
            f"{'the source' if '@' in source else source} is no file, and no URL that begins with"
            f" {', '.join(f'{name}://' for name in _SERVERS)}"
        )
    with path.open("rb") as file:
        head = file.read(16)
    if head.startswith(b"SQLite format 3"):
        _from_sqlite(path, query, target)
    elif head[8:12] == b"DUCK":
        _from_duckdb(source, "duckdb", query, target)
    else:
        raise ImportProblem(f"{source} is neither a SQLite nor a DuckDB file")


def _from_duckdb(source: str, kind: str, query: str, target: Path) -> None:
    address = source.replace("'", "''")
    try:
        with duckdb.connect(":memory:") as connection:
            connection.execute(f"attach '{address}' as source (type {kind}, read_only)")
            connection.execute("use source")
            connection.sql(query).write_parquet(str(target))
    except duckdb.Error as error:
        says = str(error).splitlines()[0].replace(source, "the source")
        if "extension" in says:
            says = f"DuckDB's extension for {kind} is not here, and cannot be fetched"
        raise ImportProblem(f"the query cannot be answered: {says}") from error


def _from_sqlite(path: Path, query: str, target: Path) -> None:
    """Every value as text: a column of SQLite may have values of several types."""
    try:
        with closing(
            sqlite3.connect(f"file:{quote(str(path.resolve()))}?mode=ro", uri=True)
        ) as file:
            cursor = file.execute(query)
            if cursor.description is None:
                raise ImportProblem("the query has no rows: it must begin with SELECT or WITH")
            schema = pa.schema([(name, pa.string()) for name, *_ in cursor.description])
            with pq.ParquetWriter(target, schema, compression="zstd") as writer:
                for rows in iter(lambda: cursor.fetchmany(_BATCH), []):
                    writer.write_table(pa.table(list(_columns(rows)), schema=schema))
    except sqlite3.Error as error:
        raise ImportProblem(f"the query cannot be answered: {error}") from error


def _columns(rows: list[tuple[object, ...]]) -> Iterator[pa.Array]:
    for values in zip(*rows, strict=True):
        yield pa.array([None if value is None else _text(value) for value in values], pa.string())


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
