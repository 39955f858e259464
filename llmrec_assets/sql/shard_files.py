"""Shards as Parquet files: what a task reads, the part it writes, and how parts come back.

A task has nothing but these files and its own DuckDB in memory, so it may run in any process that
sees the folder, and again after it was killed: a part appears under its name when it is whole.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import duckdb

from llmrec_assets.sql.shards import USER_HASH, Shard, ShardedWork, shards

NOTHING = "nothing.parquet"  # the columns, for a shard without rows


@dataclass(frozen=True)
class PartJob:
    """One shard of work, as a task gets it."""

    work: ShardedWork
    tables: Mapping[str, tuple[str, ...]]  # name as the work spells it → its files
    part: str  # the file to write
    memory_bytes: int = 0  # most that the task's DuckDB takes; 0: its default


def divide(
    connection: duckdb.DuckDBPyConnection,
    work: ShardedWork,
    count: int,
    folder: Path,
    memory_bytes: int = 0,
) -> list[PartJob]:
    """Write the tables that the work reads to the empty `folder`; a job for each shard."""
    for name, columns in work.divided.items():
        _write_divided(connection, f"select {columns} from {name}", count, folder / name)
    for name in work.shared:
        _write(connection, f"from {name}", folder / f"{name}.parquet")
    return [_job(work, shard, folder, memory_bytes) for shard in shards(count)]


def _write_divided(
    connection: duckdb.DuckDBPyConnection, rows: str, count: int, folder: Path
) -> None:
    """`folder`/shard=0, shard=1, …; a shard without rows has no folder."""
    folder.mkdir(parents=True)
    connection.execute(
        f"""copy (
            select *, ({USER_HASH} % $count::ubigint)::int as shard from ({rows})
        ) to $folder (format parquet, partition_by (shard), overwrite_or_ignore)""",
        {"count": count, "folder": str(folder)},
    )
    _write(connection, f"from ({rows}) limit 0", folder / NOTHING)


def _write(connection: duckdb.DuckDBPyConnection, query: str, file: Path) -> None:
    connection.execute(f"copy ({query}) to $file (format parquet)", {"file": str(file)})


def _job(work: ShardedWork, shard: Shard, folder: Path, memory_bytes: int) -> PartJob:
    tables = {name: _files(folder / name, shard) for name in work.divided}
    tables |= {name: (str(folder / f"{name}.parquet"),) for name in work.shared}
    return PartJob(work, tables, str(folder / f"part-{shard.index}.parquet"), memory_bytes)


def _files(folder: Path, shard: Shard) -> tuple[str, ...]:
    found = sorted((folder / f"shard={shard.index}").glob("*.parquet"))
    return (str(folder / NOTHING), *map(str, found))


def make_part(job: PartJob) -> str:
    """Do the work on the shard's files, on one thread, and write the part; its name."""
    partial = f"{job.part}.{uuid4().hex}"
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute("set threads = 1")
        connection.execute("set temp_directory = $folder", {"folder": f"{partial}.spill"})
        if job.memory_bytes:
            connection.execute("set memory_limit = $limit", {"limit": f"{job.memory_bytes}B"})
        for number, (name, files) in enumerate(job.tables.items()):
            schema = name.rpartition(".")[0]
            if schema:
                connection.execute(f"create schema if not exists {schema}")
            read = connection.read_parquet(list(files), hive_partitioning=False)
            read.create_view(f"files_{number}")
            connection.execute(f"create view {name} as from files_{number}")
        # Only the shard's rows are in its files: nothing is left to choose.
        job.work.write(connection, {**job.work.parameters, **Shard().parameters}, partial)
    Path(partial).replace(job.part)
    return job.part


def insert_parts(connection: duckdb.DuckDBPyConnection, target: str, parts: list[str]) -> None:
    """Add the rows of the parts, in that order, matched by name."""
    connection.execute(f"insert into {target} by name from read_parquet($parts)", {"parts": parts})
