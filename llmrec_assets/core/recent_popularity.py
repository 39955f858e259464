"""What everybody did lately: the same list for all who were last here at the same time."""

import numpy as np
import torch

from llmrec_assets.core.baselines import item_popularity, padded
from llmrec_assets.core.blocks import CELLS
from llmrec_assets.core.sequences import Sequences, flat_rows

_MOST_MOMENTS = 500


class RecentPopularity:
    """Shares of the newest events before each history's last time, shrunk to all-time ones.

    An event is forgotten exponentially as others come. Time is cut into moments of equally many
    events, and what is remembered at one happened before it began: nothing at or after the asked
    time counts as new. With relative times, which cannot be compared between users, popularity is
    that of all time.
    """

    def __init__(
        self,
        sequences: Sequences,
        n_items: int,
        train_end: np.ndarray,
        memory: float = 0.005,
        shrink: float = 3.0,
    ) -> None:
        """Count each user's events before `train_end` (int64 [U]).

        `memory` is the mean age of what is remembered, as a share of all events; all-time
        popularity weighs `shrink` times as much.
        """
        positions, _ = flat_rows(sequences.starts, train_end)
        positions = positions[sequences.positive[positions]]
        positions = positions[np.argsort(sequences.times[positions], kind="stable")]
        moments = int(min(_MOST_MOMENTS, max(1, CELLS // (n_items + 1)), max(len(positions), 1)))
        if sequences.relative or len(positions) == 0:
            moments = 1
        cuts = np.arange(moments) * len(positions) // moments
        times, items = sequences.times[positions], sequences.items[positions]
        # A moment begins with the first event of its time stamp.
        cuts = np.searchsorted(times, times[cuts]) if len(times) else cuts
        self.begins = times[cuts] if len(times) else np.zeros(1, dtype=np.int64)
        remembered = max(1.0, memory * len(positions))
        everything = shrink * remembered * item_popularity(sequences, n_items, train_end)
        shares = _remembered(items, cuts, n_items, remembered) + everything
        logs = np.log(shares / shares.sum(1, keepdims=True))
        self.logs = torch.from_numpy(logs.astype(np.float32))

    def logits(self, sequences: Sequences, ends: np.ndarray, users: np.ndarray) -> torch.Tensor:
        """[B, V+1] log-probabilities; of the newest moment where a history is empty."""
        last = np.where(ends > sequences.starts[users], ends - 1, -1)
        times = sequences.times[last] if len(sequences.times) else np.zeros(len(users))
        moment = np.maximum(np.searchsorted(self.begins, times, side="right") - 1, 0)
        moment = np.where(last < 0, len(self.logs) - 1, moment)
        return padded(self.logs[torch.from_numpy(moment)])


def _remembered(items: np.ndarray, cuts: np.ndarray, n_items: int, memory: float) -> np.ndarray:
    """Each item's events before each of `cuts`, less by 1 / `memory` an event: [cuts, V]."""
    keep, counts, done = 1 - 1 / memory, np.zeros(n_items + 1), 0
    found = np.empty((len(cuts), n_items))
    for place, cut in enumerate(cuts):
        weights = keep ** np.arange(cut - done - 1, -1, -1, dtype=np.float64)
        counts *= keep ** (cut - done)
        counts += np.bincount(items[done:cut], weights, n_items + 1)
        found[place], done = counts[1:], cut
    return found
