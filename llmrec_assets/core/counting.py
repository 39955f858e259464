"""What is counted over all events, however many there are.

NumPy only: this module loads with the definitions.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from llmrec_assets.core.sequences import Sequences, flat_rows

MOST_TIES = 30_000_000  # pairs of near events that are counted: an entry of a matrix each, at most
MOST_EVENTS = 20_000_000  # that the clock of items holds
NEAR = 50  # steps between two events of a pair
_BLOCK = 1 << 22  # events looked at together


def user_blocks(sequences: Sequences, most: int = _BLOCK) -> Iterator[slice]:
    """All users in order, some at a time who have about `most` events together."""
    marks = np.arange(sequences.offsets[0] + most, sequences.offsets[-1], most)
    cuts = np.unique([0, *np.searchsorted(sequences.offsets, marks), sequences.n_users])
    return (slice(start, end) for start, end in pairwise(cuts))


def blocks_before(sequences: Sequences, ends: np.ndarray) -> Iterator[np.ndarray]:
    """Positions of each user's events before `ends` (int64 [U]), in order, a block at a time."""
    for users in user_blocks(sequences):
        yield flat_rows(sequences.starts[users], ends[users])[0]


def occurrences(sequences: Sequences, codes: np.ndarray, ends: np.ndarray, size: int) -> np.ndarray:
    """How often each of `codes` [N] (0..size-1) occurs before `ends` (int64 [U]): int64 [size]."""
    counts = np.zeros(size, dtype=np.int64)
    for positions in blocks_before(sequences, ends):
        counts += np.bincount(codes[positions], minlength=size)
    return counts


def pairs_within(sequences: Sequences, steps: int) -> int:
    """Pairs of events of one user at most `steps` apart."""
    lengths = np.diff(sequences.offsets)
    most = np.minimum(steps, np.maximum(lengths - 1, 0))
    return int((most * lengths - most * (most + 1) // 2).sum())


def counted_ends(sequences: Sequences, ends: np.ndarray, n_items: int) -> np.ndarray:
    """`ends` (int64 [U]) of the users whose events are counted; the others have none before theirs.

    All are counted, unless there would be more pairs or events than there is room for: then a
    share of the users, drawn once for all.
    """
    pairs = min(pairs_within(sequences, NEAR), (n_items + 1) ** 2)
    share = min(MOST_TIES / max(pairs, 1), MOST_EVENTS / max(len(sequences.items), 1))
    if share >= 1:
        return ends
    drawn = np.random.default_rng(0).random(sequences.n_users) < share
    return np.where(drawn, ends, sequences.starts)
