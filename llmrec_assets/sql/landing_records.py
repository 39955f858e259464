"""Records found one by one, written in batches that fit memory."""

from collections.abc import Iterable, Mapping
from itertools import islice

import duckdb
import pyarrow as pa

from llmrec_assets.sql.landing_exact import Record
from llmrec_assets.sql.landing_plan import Plan

BATCH = 50_000


def name_others(cursor: duckdb.DuckDBPyConnection, database: str, plan: Plan) -> None:
    """Keep the names of the columns nobody asked for, as values: they come from the file."""
    cursor.execute(f"create table {database}.other_names (position integer, name varchar)")
    cursor.execute(
        f"""insert into {database}.other_names
        select unnest(range(len($names))), unnest($names::varchar[])""",
        {"names": list(plan.unmatched)},
    )


def insert_records(
    cursor: duckdb.DuckDBPyConnection,
    database: str,
    table: str,
    columns: Mapping[str, int],
    records: Iterable[Record],
) -> None:
    """Write good records to `table` (`line`, `problem`, `columns`), the others to `rejects`."""
    text = "".join(f", {name} varchar" for name in columns)
    cursor.execute(f"create table {database}.{table} (line bigint, problem varchar{text})")
    records = iter(records)
    while batch := list(islice(records, BATCH)):
        good = [(record.line, record.fields) for record in batch if record.fields is not None]
        bad = [record for record in batch if record.fields is None]
        values = {name: [fields[at] for _, fields in good] for name, at in columns.items()}
        lines = pa.array([line for line, _ in good], pa.int64())
        arrays = {name: pa.array(column, pa.string()) for name, column in values.items()}
        _insert(cursor, f"{database}.{table}", {"line": lines, **arrays})
        _insert(
            cursor,
            f"{database}.rejects",
            {
                "line": pa.array([record.line for record in bad], pa.int64()),
                "reason": pa.array([record.reason for record in bad], pa.string()),
                "row": pa.array([record.text for record in bad], pa.string()),
            },
        )


def _insert(cursor: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, pa.Array]) -> None:
    cursor.register("landing_batch", pa.table(dict(columns)))
    cursor.execute(f"insert into {table} by name select * from landing_batch")
    cursor.unregister("landing_batch")
