"""Users' events and the item catalogue as flat arrays, and how padded windows are cut from them.

NumPy only: this module loads with the definitions. Legend for shapes: U users, N events, V items,
F numeric features, T text embeddings of D numbers, B rows of a batch, L steps of a window.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import scipy.sparse as sp


def _none() -> np.ndarray:
    return np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class Sequences:
    """All users' events, each user's contiguous and oldest first (CSR)."""

    offsets: np.ndarray  # int64 [U+1], user u owns events offsets[u]..offsets[u+1]
    items: np.ndarray  # int32 [N], item codes 1..V (0 = padding, never an item)
    behaviors: np.ndarray  # int16 [N], behaviour codes 1..B (0 = padding)
    text_rows: np.ndarray  # int32 [N], row of the step's text embedding, -1 = none
    numeric: np.ndarray  # float32 [N, F], about standardised; NaN = masked or unknown
    times: np.ndarray  # int64 [N], microseconds UTC, or steps
    positive: np.ndarray  # bool [N], may be a target (a dislike is history only)
    weights: np.ndarray  # float32 [N], how much a step counts as a target; 1 is usual
    relative: bool = False  # times are steps of each user's own, not to be compared between users
    # int32 [N], row of the text embedding of the history up to and with the step, -1 = none; or
    # empty: no history was told
    history_rows: np.ndarray = field(default_factory=_none)

    @property
    def n_users(self) -> int:
        """U."""
        return len(self.offsets) - 1

    @property
    def n_numeric(self) -> int:
        """F, numeric features a step."""
        return self.numeric.shape[1]

    @property
    def starts(self) -> np.ndarray:
        """Position of every user's first event, int64 [U]."""
        return self.offsets[:-1]


@dataclass(frozen=True)
class Catalogue:
    """The items that can be recommended, with the frozen embeddings of their texts."""

    n_items: int  # V
    text_rows: np.ndarray  # int32 [V+1], row of the item's text embedding, -1 = none
    embeddings: np.ndarray  # float32 [T, D], may be memory-mapped; T may be 0
    n_behaviors: int  # B
    # Words of the items' texts as hash codes, each once an item (CSR); empty without texts.
    word_offsets: np.ndarray = field(default_factory=_none)  # int64 [V+2], or empty
    words: np.ndarray = field(default_factory=_none)  # int32 [sum]


def padded_rows(starts: np.ndarray, ends: np.ndarray, max_length: int) -> np.ndarray:
    """Positions of the last `max_length` events of every span, as one rectangle.

    Args:
        starts: first position of each span, int64 [B].
        ends: position after the last of each span, int64 [B].
        max_length: most events kept of a span.

    Returns:
        int64 [B, L], oldest first and filled up on the right with -1, L at least 1. Padding on the
        right lets a causal network ignore it without a mask.
    """
    first = np.maximum(starts, ends - max_length)
    lengths = np.maximum(ends - first, 0)
    steps = np.arange(max(1, int(lengths.max(initial=0))))
    return np.where(steps < lengths[:, None], first[:, None] + steps, -1)


def flat_rows(starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every position of every span, one after the other.

    Returns:
        (positions, spans): the event's position and the index of its span, both int64 [sum].
    """
    lengths = np.maximum(ends - starts, 0)
    spans = np.repeat(np.arange(len(starts)), lengths)
    before = np.cumsum(lengths) - lengths
    return np.arange(len(spans)) + (starts - before)[spans], spans


def told_rows(sequences: Sequences, ends: np.ndarray, users: np.ndarray) -> np.ndarray:
    """Row of the embedding of each history's text, int64 [B], -1 where it was not told.

    Args:
        sequences: the events.
        ends: int64 [B], absolute position after each history's last event.
        users: int64 [B], whose histories they are.
    """
    rows = np.full(len(ends), -1, dtype=np.int64)
    if len(sequences.history_rows):
        known = ends > sequences.starts[users]
        rows[known] = sequences.history_rows[ends[known] - 1]
    return rows


def newest_told(sequences: Sequences, ends: np.ndarray) -> np.ndarray:
    """Row of the embedding of each user's newest text that ends at or before `ends` (int64 [U]).

    Users without such a text are left out.
    """
    told = np.flatnonzero(sequences.history_rows >= 0)
    owners = np.searchsorted(sequences.offsets, told, side="right") - 1
    within = told < ends[owners]
    told, owners = told[within], owners[within]
    newest = np.append(owners[1:] != owners[:-1], True)[: len(told)]
    return sequences.history_rows[told[newest]]


@dataclass(frozen=True)
class Recent:
    """What histories were about of late: events of B histories with weights that sum to one."""

    rows: np.ndarray  # int64 [n], whose
    items: np.ndarray  # int32 [n], codes; one may be there several times
    weights: np.ndarray  # float64 [n]
    n_rows: int  # B

    def sparse(self, n_items: int) -> "sp.csr_array":
        """As a matrix, float64 [B, V+1]."""
        import scipy.sparse as sp

        shape = (self.n_rows, n_items + 1)
        return sp.csr_array((self.weights, (self.rows, self.items)), shape=shape)

    def mixed(self, vectors: np.ndarray) -> np.ndarray:
        """The weighted mean of each history's rows of `vectors` [V+1, D]: float32 [B, D]."""
        mean = np.zeros((self.n_rows, vectors.shape[1]), dtype=np.float32)
        np.add.at(mean, self.rows, vectors[self.items] * self.weights.astype(np.float32)[:, None])
        return mean

    def mixed_sparse(self, matrix: "sp.csr_array") -> np.ndarray:
        """The weighted mean of each history's rows of `matrix` [V+1, m]: float64 [B, m].

        SciPy's product of sparse matrices costs a single history more to set up than to compute.
        """
        starts, ends = matrix.indptr[self.items], matrix.indptr[self.items + 1]
        positions, owners = flat_rows(starts.astype(np.int64), ends.astype(np.int64))
        _, width = matrix.shape  # pyright: ignore[reportGeneralTypeIssues]
        cells = self.rows[owners] * width + matrix.indices[positions]
        shares = self.weights[owners] * matrix.data[positions]
        return np.bincount(cells, shares, self.n_rows * width).reshape(self.n_rows, width)


def recent(
    sequences: Sequences, ends: np.ndarray, users: np.ndarray, steps: int, decay: float
) -> Recent:
    """What each history was about of late: its last `steps` items, weighted by `decay`^age.

    Args:
        sequences: the events.
        ends: int64 [B], absolute position after each history's last event.
        users: int64 [B], whose histories they are.
        steps: newest events read.
        decay: weight of an event relative to the next newer one.
    """
    positions, rows = flat_rows(np.maximum(sequences.starts[users], ends - steps), ends)
    weights = decay ** (ends[rows] - 1.0 - positions)
    weights /= np.bincount(rows, weights, len(users))[rows]
    return Recent(rows, sequences.items[positions], weights, len(users))


def recent_items(
    sequences: Sequences,
    ends: np.ndarray,
    users: np.ndarray,
    n_items: int,
    steps: int,
    decay: float,
) -> "sp.csr_array":
    """`recent` as a matrix, float64 [B, V+1], a row empty where the history is."""
    return recent(sequences, ends, users, steps, decay).sparse(n_items)
