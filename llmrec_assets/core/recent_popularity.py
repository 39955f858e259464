"""What everybody did lately: the same list for all who were last here at the same time."""

import numpy as np
import torch

from llmrec_assets.core.baselines import item_popularity, padded
from llmrec_assets.core.blocks import CELLS
from llmrec_assets.core.sequences import Sequences, flat_rows

_MOST_MOMENTS = 500


class RecentPopularity:
    """Shares of the events in a window before each history's last time, shrunk to all-time ones.

    Time is cut into moments of equally many events, and only events before a moment begins count
    for it: nothing at or after the asked time does. With relative times, which cannot be compared
    between users, popularity is that of all time.
    """

    def __init__(
        self,
        sequences: Sequences,
        n_items: int,
        train_end: np.ndarray,
        window: float = 0.05,
        shrink: float = 100.0,
    ) -> None:
        """Count each user's events before `train_end` (int64 [U]).

        A window holds the share `window` of all events; all-time popularity weighs as `shrink`
        events more.
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
        self.relative, width = sequences.relative, max(1, int(window * len(positions)))
        everything = shrink * item_popularity(sequences, n_items, train_end)
        counts = np.stack(
            [np.bincount(items[max(0, c - width) : c], minlength=n_items + 1)[1:] for c in cuts]
        )
        shares = counts + everything
        logs = np.log(shares / shares.sum(1, keepdims=True))
        self.logs = torch.from_numpy(logs.astype(np.float32))

    def logits(self, sequences: Sequences, ends: np.ndarray, users: np.ndarray) -> torch.Tensor:
        """[B, V+1] log-probabilities; of the newest moment where a history is empty."""
        last = np.where(ends > sequences.starts[users], ends - 1, -1)
        times = sequences.times[last] if len(sequences.times) else np.zeros(len(users))
        moment = np.maximum(np.searchsorted(self.begins, times, side="right") - 1, 0)
        moment = np.where(last < 0, len(self.logs) - 1, moment)
        return padded(self.logs[torch.from_numpy(moment)])
