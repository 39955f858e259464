"""How rows are divided among tasks: by a hash of the user that no engine can change."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import duckdb


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


@dataclass(frozen=True)
class ShardedQuery:
    """A query with `BELONGS`: what it makes of a shard depends on that shard's users alone.

    An engine may run it where only those tables are, and only that shard's rows of the divided
    ones.
    """

    target: str  # the table that gets the rows, by the names of their columns
    query: str
    parameters: Mapping[str, object]
    divided: Mapping[str, str]  # table that it reads and that has a user_id → which columns of it
    shared: tuple[str, ...] = ()  # others, which every shard reads whole


class FillByShards(Protocol):
    """Adds to a table what a query makes of each shard."""

    def __call__(self, connection: duckdb.DuckDBPyConnection, work: ShardedQuery) -> None:
        """Rows are added in the order of the shards, each once."""
        ...


@dataclass(frozen=True)
class InPlace:
    """One shard after the other on the connection itself."""

    count: int = 1

    def __call__(self, connection: duckdb.DuckDBPyConnection, work: ShardedQuery) -> None:
        """Add the rows of every shard; more than one bound the memory that a query takes."""
        for shard in shards(self.count):
            connection.execute(
                f"insert into {work.target} by name ({work.query})",
                {**work.parameters, **shard.parameters},
            )


WHOLE = InPlace()
