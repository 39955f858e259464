"""How a list may differ from the model's order, and which items it is made of.

NumPy only: settings are read where definitions load.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Reranking:
    """How a list differs from the model's order; the defaults change nothing.

    Raises:
        ValueError: a share is outside 0..1 (or is none), or `max_per_category` is below 1.
    """

    diversity: float = 0.0  # 0 = the model's order, 1 = the likeliest, then by unlikeness alone
    calibration: float = 0.0  # 0 = not by categories, 1 = by the history's categories alone
    long_tail: float = 0.0  # least share of slots for items outside the head
    freshness: float = 0.0  # at 1 the newest item counts as e^NATS times as likely
    max_per_category: int | None = None
    never: frozenset[int] = frozenset()  # codes that are not listed
    always: frozenset[int] = frozenset()  # codes of which at least one is listed

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        for name in ("diversity", "calibration", "long_tail", "freshness"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be from 0 to 1, not {getattr(self, name)}")
        if self.max_per_category is not None and self.max_per_category < 1:
            raise ValueError(f"max_per_category must be at least 1, not {self.max_per_category}")

    @property
    def has_rules(self) -> bool:
        """Not every candidate may take every slot."""
        return bool(self.never or self.always or self.long_tail or self.max_per_category)

    @property
    def changes_nothing(self) -> bool:
        """The model's order is the list."""
        return self == Reranking()


def depth_of(k: int) -> int:
    """How many of the likeliest items are looked at for a varied list of `k`."""
    return 5 * k + 100


def candidates(
    scores: np.ndarray, depth: int, settings: Reranking
) -> tuple[np.ndarray, np.ndarray]:
    """What of one user's scores is worth a second look.

    Args:
        scores: float [V+1], log-probabilities, -inf = may not be listed.
        depth: how many of the likeliest.
        settings: items that it wants always are candidates wherever they rank, those that it
            wants never are none.

    Returns:
        (codes int64 [n], scores [n]) in falling order of score, the lower code first where equal.
    """
    kept = scores.astype(np.float64)
    kept[[code for code in settings.never if 0 < code < len(kept)]] = -np.inf
    kept[0] = -np.inf
    n = min(depth, len(kept))
    edge = np.partition(kept, len(kept) - n)[len(kept) - n] if n else np.inf
    codes = np.flatnonzero((kept >= edge) & (kept > -np.inf))
    codes = codes[np.lexsort((codes, -kept[codes]))][:n]
    wanted = [c for c in settings.always if 0 < c < len(kept) and kept[c] > -np.inf]
    codes = np.concatenate([codes, np.setdiff1d(wanted, codes).astype(np.int64)])
    codes = codes[np.lexsort((codes, -kept[codes]))]
    return codes, kept[codes]
