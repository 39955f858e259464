"""Which events a fit may see and which it is judged on.

NumPy only: this module loads with the definitions. A target's history is every event of its user
before it, whatever the split.
"""

from dataclasses import dataclass

import numpy as np

from llmrec_assets.core.counting import user_blocks
from llmrec_assets.core.sequences import Sequences, flat_rows

GLOBAL_TEST_SHARE = 0.1
LEAST_UNSEEN = 30  # users with an unseen target; fewer say too little to leave out the others


@dataclass(frozen=True)
class Split:
    """Absolute event positions of each user, all int64 [U]."""

    train_end: np.ndarray  # a fit sees the user's events before this position
    validation: np.ndarray  # the target that training is stopped by, -1 = none
    test: np.ndarray  # the target that the model is judged on, -1 = none


def leave_one_out(sequences: Sequences) -> Split:
    """Judge on each user's last positive event, stop training by the one before it.

    A target without history is no target. No fit sees the last two events of any user, also of one
    who has too few positive events for both targets.
    """
    starts, ends = sequences.starts, sequences.offsets[1:]
    order, counts = _positive_positions(sequences)
    test = _nth_last(order, counts, 1)
    validation = _nth_last(order, counts, 2)
    limit = np.where(validation >= 0, validation, np.where(test >= 0, test, ends))
    train_end = np.maximum(starts, np.minimum(limit, ends - 2))
    return Split(
        train_end, np.where(validation > starts, validation, -1), np.where(test > starts, test, -1)
    )


def seen_before(sequences: Sequences, targets: np.ndarray) -> np.ndarray:
    """Of each user whose target (int64 [U], -1 = none) is an item of the history: bool [U]."""
    ends = np.where(targets >= 0, targets, sequences.starts)
    seen = np.zeros(len(targets), dtype=bool)
    for users in user_blocks(sequences):
        positions, rows = flat_rows(sequences.starts[users], ends[users])
        same = sequences.items[positions] == sequences.items[targets[users][rows]]
        seen[users] = np.bincount(rows[same], minlength=users.stop - users.start) > 0
    return seen


def global_time_split(sequences: Sequences, test_share: float = GLOBAL_TEST_SHARE) -> Split:
    """Cut all users at one time: the past is learnt from, the next event after it is the target.

    Args:
        sequences: all events.
        test_share: share of the newest events kept from the fit, between 0 and 1.

    Returns:
        `test` is each user's first positive event at or after the cut that has a history.
        `validation` is -1 throughout.

    Raises:
        ValueError: `test_share` is not between 0 and 1.
    """
    if not 0 < test_share < 1:
        raise ValueError(f"test_share must lie between 0 and 1, got {test_share}")
    none = np.full(sequences.n_users, -1, dtype=np.int64)
    n = len(sequences.times)
    if n == 0:
        return Split(sequences.starts.copy(), none, none.copy())
    cut = np.partition(sequences.times, int(n * (1 - test_share)))[int(n * (1 - test_share))]
    train_end = sequences.starts + _counts(sequences.times < cut, sequences.offsets)
    order, counts = _positive_positions(sequences)
    before = _counts(sequences.positive & (sequences.times < cut), sequences.offsets)
    test = _nth_last(order, counts, np.maximum(counts - before, 1))
    test = np.where((counts > before) & (test > sequences.starts), test, -1)
    return Split(train_end, none, test)


def hold_out_last(sequences: Sequences, ends: np.ndarray) -> Split:
    """Keep each user's last positive event before `ends` (int64 [U]) as the validation target."""
    order, _ = _positive_positions(sequences)
    running = np.concatenate([[0], np.cumsum(sequences.positive, dtype=np.int64)])
    counts = running[ends] - running[sequences.starts]
    last = order[np.maximum(running[ends] - 1, 0)] if len(order) else ends
    found = (counts > 0) & (last > sequences.starts)
    none = np.full(sequences.n_users, -1, dtype=np.int64)
    return Split(np.where(found, last, ends), np.where(found, last, -1), none)


def _positive_positions(sequences: Sequences) -> tuple[np.ndarray, np.ndarray]:
    """Positions of all positive events in order, and how many each user has."""
    return np.flatnonzero(sequences.positive), _counts(sequences.positive, sequences.offsets)


def _counts(flags: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """How many flags are set for each user, int64 [U]."""
    running = np.concatenate([[0], np.cumsum(flags, dtype=np.int64)])
    return running[offsets[1:]] - running[offsets[:-1]]


def _nth_last(order: np.ndarray, counts: np.ndarray, nth: np.ndarray | int) -> np.ndarray:
    """Each user's `nth` last entry of `order`, -1 where there is none."""
    if len(order) == 0:
        return np.full(len(counts), -1, dtype=np.int64)
    index = np.cumsum(counts) - nth
    return np.where(counts >= nth, order[np.maximum(index, 0)], -1)
