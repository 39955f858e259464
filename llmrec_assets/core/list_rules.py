"""What a list must and must not hold: which candidates may not take its next slot.

NumPy only. In this order, where they cannot all hold: never > at most n of a category > one of
those > the long tail's share. So a list may stay short for the first two; `always` is left out only
where none of its items is a candidate; and the share of the tail is as large as the rest permits.
"""

from collections.abc import Collection

import numpy as np


class Rules:
    """The state of the rules while a list of one user grows."""

    def __init__(
        self,
        codes: np.ndarray,
        categories: np.ndarray,
        tail: np.ndarray,
        *,
        never: Collection[int],
        always: Collection[int],
        max_per_category: int | None,
        long_tail: float,
        k: int,
    ) -> None:
        """Begin with an empty list of `k` slots.

        Args:
            codes: int64 [n], of the candidates, the likeliest first.
            categories: int64 [n], 0 = none: such items are not limited.
            tail: bool [n], outside the head.
            never: codes that are not listed.
            always: codes of which one is listed at the latest in the last slot.
            max_per_category: at least 1.
            long_tail: share of the first slots, however many, that the tail has.
            k: slots.
        """
        self.tail, self.share, self.k, self.limit = tail, long_tail, k, max_per_category
        self.gone = np.isin(codes, list(never))  # listed, or never to be
        self.wanted = np.isin(codes, list(always)) & ~self.gone
        self.kept = int(self.wanted.argmax()) if self.wanted.any() else None
        names, self.categories = np.unique(categories, return_inverse=True)
        self.limited = names > 0
        self.listed = np.zeros(len(names), dtype=np.int64)  # of each category
        self.n = self.tailed = 0
        self.full = self._full()

    def closed(self) -> np.ndarray:
        """Candidates that may not take the next slot: bool [n]; where all may not, it is over."""
        if self.kept is not None and self.n == self.k - 1:
            return np.arange(len(self.gone)) != self.kept
        closed = self.gone | self.full
        if self.tailed < int(self.share * (self.n + 1) + 1e-9):
            without_head = closed | ~self.tail
            return closed if without_head.all() else without_head
        return closed

    def add(self, candidate: int) -> None:
        """Give the slot to a candidate."""
        category = self.categories[candidate]
        self.n += 1
        self.tailed += int(self.tail[candidate])
        self.listed[category] += 1
        self.gone[candidate] = True
        met = self.kept is not None and self.wanted[candidate]
        if met:
            self.kept = None
        if met or (self.limit is not None and self.listed[category] >= self.limit - 1):
            self.full = self._full()

    def _full(self) -> np.ndarray:
        """Candidates whose category has no slot left: bool [n]."""
        if self.limit is None:
            return np.zeros(len(self.gone), dtype=bool)
        full = self.limited & (self.listed >= self.limit)
        if self.kept is None:
            return full[self.categories]
        # Until one of the wanted is listed, a slot of its category is kept for the likeliest.
        kept = np.arange(len(full)) == self.categories[self.kept]
        others = self.limited & (self.listed + kept >= self.limit)
        return np.where(self.wanted, full[self.categories], others[self.categories])
