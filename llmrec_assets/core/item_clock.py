"""How popular and how new each item was at a moment, as could be known at that moment."""

import numpy as np

from llmrec_assets.core.sequences import Sequences, flat_rows

WINDOWS = (0.01, 0.05, 0.2)  # shares of the events so far that a window of recent popularity holds
NAMES = ("events", "unseen", "since_last", "since_first", *(f"events_{w:g}" for w in WINDOWS))


class ItemClock:
    """The positive events of every item in order of time.

    What speaks against an item does not make it popular, nor does a bot: neither is positive.
    Time is told by how many events of all users came before, so that a busy season and a quiet
    one weigh alike and no unit of time matters. Only events strictly before the asked moment
    count: later ones, and those of the same stamp, were not known then.
    """

    def __init__(self, sequences: Sequences, n_items: int, train_end: np.ndarray) -> None:
        """Read the events of each user before `train_end` (int64 [U])."""
        positions, _ = flat_rows(sequences.starts, train_end)
        positions = positions[sequences.positive[positions]]
        times, items = sequences.times[positions], sequences.items[positions].astype(np.int64)
        self.n_items, self.relative, self.n = n_items, sequences.relative, max(len(times), 1)
        self.times = np.sort(times)
        order = np.lexsort((times, items))
        self.before = np.searchsorted(self.times, times[order])  # of each event, events before it
        self.keys = items[order] * (self.n + 1) + self.before
        self.first = np.searchsorted(items[order], np.arange(n_items + 2))

    @property
    def counts(self) -> np.ndarray:
        """Events of each item, int64 [V+1]."""
        return np.diff(self.first)

    def at(self, items: np.ndarray, times: np.ndarray) -> np.ndarray:
        """What was known of `items` (codes [n]) at `times` (int64 [n]): float32 [n, len(NAMES)].

        Logarithms of: the item's events so far, the share of everybody's events so far that came
        since its last and since its first, and its events in each window up to now; `unseen` is 1
        without any. All zero where times are relative.
        """
        if self.relative or not len(self.keys):
            return np.zeros((len(items), len(NAMES)), dtype=np.float32)
        now = np.searchsorted(self.times, times)
        codes = items.astype(np.int64)
        newest = self._place(codes, now)
        oldest = self.first[codes]
        count = newest - oldest
        seen = count > 0
        last = self.before[np.maximum(newest - 1, 0)]
        first = self.before[np.minimum(oldest, len(self.before) - 1)]
        so_far = np.maximum(now, 1)
        columns = [
            np.log1p(count),
            ~seen,
            np.log(np.where(seen, (now - last) / so_far, 1) + 1e-4),
            np.log(np.where(seen, (now - first) / so_far, 0) + 1e-4),
        ]
        for window in WINDOWS:
            opened = self._place(codes, now - (window * now).astype(np.int64))
            columns.append(np.log1p(newest - opened))
        return np.column_stack(columns).astype(np.float32)

    def _place(self, codes: np.ndarray, now: np.ndarray) -> np.ndarray:
        """Place among all events, by item and time, where the item's events before `now` end."""
        return np.searchsorted(self.keys, codes * (self.n + 1) + now)
