"""Which past events an item's probability hangs on: each is left out, and the model asked again.

Occlusion (Zeiler & Fergus 2014; for histories: leave-one-out, Li et al. 2016) asks any scorer and
shows what it does, where attention shows only where a network looked.
"""

from dataclasses import dataclass

import numpy as np

from llmrec_assets.core.ranking import Scorer
from llmrec_assets.core.sequences import Sequences

MOST = 50  # newest events that are left out in turn; older ones stay where they are


@dataclass(frozen=True)
class Effects:
    """What each of some past events does for some items."""

    positions: np.ndarray  # int64 [R], of the events in the sequences, oldest first
    effects: np.ndarray  # float64 [R, C], nats: above 0 where the event speaks for the item


def occlusion(
    scorer: Scorer,
    sequences: Sequences,
    span: tuple[int, int],
    codes: np.ndarray,
    most: int = MOST,
) -> Effects:
    """Log-probability of items with the whole history less that without each of its events.

    The scorer is asked once, for a block of as many histories as events are left out and one more.

    Args:
        scorer: what is explained.
        sequences: the events.
        span: where the history begins and where it ends, which is after its last event.
        codes: int64 [C], items.
        most: newest events that are left out in turn.
    """
    start, end = span
    positions = np.arange(max(start, end - most), end)
    if not len(positions):
        return Effects(positions, np.zeros((0, len(codes))))
    each = [[position] for position in positions.tolist()]
    scored = log_probabilities_without(scorer, sequences, span, each, codes)
    return Effects(positions, scored[0] - scored[1:])


def log_probabilities_without(
    scorer: Scorer,
    sequences: Sequences,
    span: tuple[int, int],
    sets: list[list[int]],
    codes: np.ndarray,
) -> np.ndarray:
    """Log-probabilities of items (codes [C]) with the whole history, then without each of `sets`.

    Args:
        scorer: what is asked, once.
        sequences: the events.
        span: first position of the history and the one after its last.
        sets: of positions in the span.
        codes: int64 [C], items.

    Returns:
        float64 [1 + len(sets), C].
    """
    shortened = without(sequences, span, sets)
    users = np.arange(shortened.n_users)
    logits = scorer.logits(shortened, shortened.offsets[1:], users)
    return logits.log_softmax(1).numpy()[:, codes].astype(np.float64)


def without(sequences: Sequences, span: tuple[int, int], sets: list[list[int]]) -> Sequences:
    """A history as user 0, and as user i + 1 without the events of sets[i].

    What the other events carry stays as it was: a step's numbers (such as the time since the step
    before) and the text that tells the history up to it still know of the event that is left out,
    as the features of later events of a user knew of it when they were made. When the last event is
    left out, the history ends, and is asked about, at the one before.
    """
    start, end = span
    kept = np.ones((1 + len(sets), end - start), dtype=bool)
    for row, left_out in enumerate(sets, start=1):
        kept[row, np.array(left_out, dtype=np.int64) - start] = False
    positions = np.broadcast_to(np.arange(start, end), kept.shape)[kept]
    columns = {
        name: values[positions]
        for name, values in vars(sequences).items()
        if isinstance(values, np.ndarray) and name != "offsets" and len(values)
    }
    offsets = np.concatenate([[0], np.cumsum(kept.sum(1))])
    return Sequences(**{**vars(sequences), **columns, "offsets": offsets.astype(np.int64)})
