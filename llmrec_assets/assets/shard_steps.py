"""How a table is filled by shards wherever the engine works."""

from dataclasses import dataclass

import duckdb
import psutil

from llmrec_assets.resources.engine import Engine
from llmrec_assets.sql.shard_files import divide, insert_parts, make_part
from llmrec_assets.sql.shards import FillByShards, InPlace, ShardedWork

MEMORY_SHARE = 0.6  # of a machine's, for the databases of all tasks that run there at a time


def fill_by(engine: Engine) -> FillByShards:
    """In the warehouse's own connection, or by tasks that exchange Parquet files.

    What earlier runs left of such files, because they were killed, goes either way.
    """
    engine.remove_left()
    return InPlace(engine.shards) if engine.is_local else _ByTasks(engine)


@dataclass(frozen=True)
class _ByTasks:
    engine: Engine

    def __call__(self, connection: duckdb.DuckDBPyConnection, work: ShardedWork) -> None:
        """Write each shard's rows, let tasks make the parts, and add them; no file stays."""
        memory = int(psutil.virtual_memory().total * MEMORY_SHARE / (psutil.cpu_count() or 1))
        with self.engine.work_folder() as folder:
            jobs = divide(connection, work, self.engine.shards, folder, memory)
            insert_parts(connection, work.target, self.engine.run_tasks(make_part, jobs))
