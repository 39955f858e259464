"""What of every item a list is varied by: its text's direction, category, fame and age.

NumPy only. Arrays have a row for each code, 0 = padding.
"""

from dataclasses import dataclass

import numpy as np

HEAD_SHARE = 0.5  # of all events, that the most popular items hold: the rest is the long tail
UNKNOWN_TIME = np.iinfo(np.int64).min  # of an item that nobody knows the first event of


@dataclass(frozen=True)
class ItemTraits:
    """All items' traits; made once for all lists."""

    vectors: np.ndarray  # float32 [V+1, D], unit; a zero row has no text; D may be 0
    categories: np.ndarray  # int64 [V+1], from 1, 0 = none
    tail: np.ndarray  # bool [V+1], outside the head
    freshness: np.ndarray  # float64 [V+1], 0 = the oldest or unknown, towards 1 = the newest

    @classmethod
    def of(
        cls,
        vectors: np.ndarray,
        categories: np.ndarray | None = None,
        counts: np.ndarray | None = None,
        first_times: np.ndarray | None = None,
    ) -> "ItemTraits":
        """Traits from what is known; what is not given is alike for all items.

        Args:
            vectors: float32 [V+1, D], unit or zero rows.
            categories: int64 [V+1], from 1, 0 = none.
            counts: int64 [V+1], events of each item.
            first_times: int64 [V+1], of each item's first event in any unit, `UNKNOWN_TIME` =
                unknown.
        """
        n = len(vectors)
        return cls(
            vectors,
            np.zeros(n, np.int64) if categories is None else categories.astype(np.int64),
            np.zeros(n, bool) if counts is None else long_tail(counts),
            np.zeros(n) if first_times is None else freshness(first_times),
        )


def long_tail(counts: np.ndarray, head_share: float = HEAD_SHARE) -> np.ndarray:
    """Which items (counts int64 [V+1]) are not among the most popular ones: bool [V+1].

    The head is the fewest most popular items that hold `head_share` of all events, items of equal
    count together; the padding item is in no part. Without any event all items are tail.
    """
    values, of_item, sizes = np.unique(counts[1:], return_inverse=True, return_counts=True)
    events = values * sizes
    more_popular = events.sum() - np.cumsum(events)  # events of the items above each count
    head = (more_popular < head_share * events.sum()) & (values > 0)
    return np.concatenate([[False], ~head[of_item]])


def freshness(first_times: np.ndarray) -> np.ndarray:
    """Share of the other known items that came before each one (int64 [V+1]): float64 [V+1].

    Counting items instead of days needs no half-life, and no unit of time.
    """
    known = first_times != UNKNOWN_TIME
    known[:1] = False
    ordered = np.sort(first_times[known])
    earlier = np.searchsorted(ordered, first_times)
    return np.where(known, earlier / max(len(ordered) - 1, 1), 0.0)
