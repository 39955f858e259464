"""A linear map of the vectors of a frozen text encoder, what it is tuned by, and how it is named.

NumPy only, so that vectors are mapped where nothing is trained.
"""

import re
from dataclasses import dataclass

import numpy as np

from llmrec_assets.core.sequences import Sequences

_BLOCK = 8192  # vectors mapped at a time
_TUNED = re.compile(r"\+(head|lora|full)-[0-9a-f]{8}$")


def tuned_name(base: str, kind: str, digest: str) -> str:
    """The name of an encoder that was tuned in a way: what comes before is the frozen one's."""
    return f"{base}+{kind}-{digest[:8]}"


def base_of(encoder: str) -> str:
    """The name of the frozen encoder."""
    return _TUNED.sub("", encoder)


def kind_of(encoder: str) -> str | None:
    """How it was tuned: head, lora or full; None for a frozen one."""
    found = _TUNED.search(encoder)
    return found[1] if found else None


def is_fine_tuned(encoder: str) -> bool:
    """Whether it is a model of its own, and not a map of the frozen one's vectors."""
    return kind_of(encoder) in ("lora", "full")


@dataclass(frozen=True)
class Pairs:
    """Items that one user consumed within the window, the earlier one first; [P] each."""

    first: np.ndarray  # int64, item codes
    second: np.ndarray  # int64
    weights: np.ndarray  # float32, of the later event's behaviour

    def __len__(self) -> int:
        """P."""
        return len(self.first)


def consumed_together(
    sequences: Sequences, train_end: np.ndarray, has_text: np.ndarray, window: int
) -> Pairs:
    """Pairs of different items with texts, both positive, from the events before `train_end`.

    Args:
        sequences: the events.
        train_end: int64 [U], absolute; nothing at or after it becomes part of a pair.
        has_text: bool [V+1].
        window: most events between the two.
    """
    users = np.repeat(np.arange(sequences.n_users), np.diff(sequences.offsets))
    usable = np.arange(len(users)) < train_end[users]
    usable &= sequences.positive & has_text[sequences.items]
    found = []
    for apart in range(1, window + 1):
        later = np.flatnonzero(usable[apart:] & usable[:-apart]) + apart
        later = later[users[later] == users[later - apart]]
        later = later[sequences.items[later] != sequences.items[later - apart]]
        found.append((later - apart, later))
    earlier, later = (np.concatenate(side) for side in zip(*found, strict=True))
    items = sequences.items.astype(np.int64)
    return Pairs(items[earlier], items[later], sequences.weights[later])


@dataclass(frozen=True)
class Head:
    """What maps the vectors of one encoder."""

    mean: np.ndarray  # float32 [D]
    matrix: np.ndarray  # float32 [D, D]

    @classmethod
    def from_array(cls, array: np.ndarray) -> "Head":
        """The head that `array` is of."""
        return cls(np.array(array[0]), np.array(array[1:]))

    @property
    def array(self) -> np.ndarray:
        """The mean above the matrix, float32 [D+1, D]."""
        return np.concatenate([self.mean[None], self.matrix])

    def apply(self, vectors: np.ndarray) -> np.ndarray:
        """float32 [n, D], each row of unit length; a zero row, which has no text, stays zero."""
        mapped = np.zeros(vectors.shape, np.float32)
        for start in range(0, len(vectors), _BLOCK):
            mapped[start : start + _BLOCK] = self._mapped(vectors[start : start + _BLOCK])
        return mapped

    def _mapped(self, vectors: np.ndarray) -> np.ndarray:
        block = np.asarray(vectors, dtype=np.float32)
        product = (block - self.mean) @ self.matrix
        product[~block.any(axis=1)] = 0
        length = np.linalg.norm(product, axis=1, keepdims=True)
        return product / np.where(length > 0, length, 1)
