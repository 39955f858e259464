"""How rows are divided among tasks: by a hash of the user that no engine can change."""

from dataclasses import dataclass


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
# in every engine and version, which DuckDB does not promise of its `hash`. Not computed for one
# shard: it would take longer than the rest of the query.
BELONGS = """(
    $shard_count = 1 or md5_number_lower(user_id) % $shard_count::ubigint = $shard_index::ubigint
)"""
