"""How rows are divided among tasks: by a hash of the user that no engine can change."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Shard:
    """Part `index` of `count`: the users whose md5, modulo `count`, is `index`."""

    index: int = 0
    count: int = 1

    @property
    def parameters(self) -> dict[str, int]:
        """The values of `BELONGS`."""
        return {"shard_index": self.index, "shard_count": self.count}


WHOLE = Shard()

# md5 is a published function, so a shard holds the same users in every engine and version.
BELONGS = "md5_number_lower(user_id) % $shard_count::ubigint = $shard_index::ubigint"
