"""How rows are divided among tasks: by a hash of the user that no engine can change."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Protocol

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from llmrec_assets.sql.tables import append


@dataclass(frozen=True)
class Shard:
    """Part `index` of `count`: the users whose hash, modulo `count`, is `index`."""

    index: int = 0
    count: int = 1

    @property
    def parameters(self) -> dict[str, int]:
        """The values of `BELONGS`."""
        return {"shard_index": self.index, "shard_count": self.count}


def shards(count: int) -> list[Shard]:
    """The parts that together hold every user once."""
    return [Shard(index, count) for index in range(count)]


# The last 8 bytes of the md5, little-endian: a published function, so a shard holds the same users
# in every engine and version, which DuckDB does not promise of its `hash`. It is what DuckDB calls
# `md5_number_lower`, whose 128 written digits take several times as long as the md5.
USER_HASH = "(md5_number(user_id) >> 64)::ubigint"

# Not computed for one shard: it would take longer than the rest of the query.
BELONGS = f"""(
    $shard_count = 1 or {USER_HASH} % $shard_count::ubigint = $shard_index::ubigint
)"""


class ShardedWork(Protocol):
    """What fills a table: what it makes of a shard depends on that shard's users alone.

    An engine may do it where only the tables that it reads are, and only that shard's rows of the
    divided ones. Parameters are those of the work and of a shard.
    """

    @property
    def target(self) -> str:
        """The table that gets the rows, by the names of their columns."""
        ...

    @property
    def parameters(self) -> Mapping[str, object]:
        """Of the work."""
        ...

    @property
    def divided(self) -> Mapping[str, str]:
        """Each table that it reads and that has a user_id, and which columns of it."""
        ...

    @property
    def shared(self) -> tuple[str, ...]:
        """Others, which every shard reads whole."""
        ...

    def add(self, connection: duckdb.DuckDBPyConnection, parameters: Mapping[str, object]) -> None:
        """Add a shard's rows to the target."""
        ...

    def write(
        self, connection: duckdb.DuckDBPyConnection, parameters: Mapping[str, object], file: str
    ) -> None:
        """Write a shard's rows as Parquet."""
        ...


@dataclass(frozen=True)
class ShardedQuery:
    """Work that is a query with `BELONGS`."""

    target: str
    query: str
    parameters: Mapping[str, object]
    divided: Mapping[str, str]
    shared: tuple[str, ...] = ()

    def add(self, connection: duckdb.DuckDBPyConnection, parameters: Mapping[str, object]) -> None:
        """As ShardedWork says."""
        connection.execute(f"insert into {self.target} by name ({self.query})", parameters)

    def write(
        self, connection: duckdb.DuckDBPyConnection, parameters: Mapping[str, object], file: str
    ) -> None:
        """As ShardedWork says."""
        written = f"copy ({self.query}) to $file (format parquet)"
        connection.execute(written, {**parameters, "file": file})


@dataclass(frozen=True)
class ShardedRows:
    """Work whose rows a function makes, some at a time; one table at least, without rows or with.

    It may be pickled: the function is one of a module.
    """

    target: str
    make: Callable[[duckdb.DuckDBPyConnection, Mapping[str, Any]], Iterator[pa.Table]]
    parameters: Mapping[str, object]
    divided: Mapping[str, str]
    shared: tuple[str, ...] = ()

    def add(self, connection: duckdb.DuckDBPyConnection, parameters: Mapping[str, object]) -> None:
        """As ShardedWork says."""
        for rows in self.make(connection, parameters):
            append(connection, self.target, rows)

    def write(
        self, connection: duckdb.DuckDBPyConnection, parameters: Mapping[str, object], file: str
    ) -> None:
        """As ShardedWork says."""
        made = self.make(connection, parameters)
        first = next(made)
        with pq.ParquetWriter(file, first.schema) as writer:
            for rows in chain([first], made):
                writer.write_table(rows)


class FillByShards(Protocol):
    """Adds to a table what work makes of each shard."""

    def __call__(self, connection: duckdb.DuckDBPyConnection, work: ShardedWork) -> None:
        """Rows are added in the order of the shards, each once."""
        ...


@dataclass(frozen=True)
class InPlace:
    """One shard after the other on the connection itself."""

    count: int = 1

    def __call__(self, connection: duckdb.DuckDBPyConnection, work: ShardedWork) -> None:
        """Add the rows of every shard; more than one bound the memory that it takes."""
        for shard in shards(self.count):
            work.add(connection, {**work.parameters, **shard.parameters})


WHOLE = InPlace()
