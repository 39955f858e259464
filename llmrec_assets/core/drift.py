"""How far new events are from those that a model was trained on.

NumPy only. Small samples differ from the whole by chance alone, so every distance is read against
a floor: the largest of the same distance over parts of as many events that are drawn at random from
the older ones. A distance drifts where it is above the floor by a margin that matters.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

REDRAWS = 20  # the largest of so many is passed by chance once in about 21 times
POPULARITY_MARGIN = 0.15  # months of a shop differ by more, days by less
BEHAVIOR_MARGIN = 0.05
CENTROID_MARGIN = 0.02
BLOCK = 8192  # vectors read at a time
SURE = 1.96  # standard errors: of a fall, that happens by chance once in 40 times


@dataclass(frozen=True)
class Drift:
    """One measure. `reference` and `new` say how much was compared."""

    measure: str
    value: float
    floor: float
    threshold: float
    reference: int
    new: int

    @property
    def drifted(self) -> bool:
        """Whether it is further than chance and margin explain."""
        return self.value > self.threshold


def jensen_shannon(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The divergence of two distributions, 0 (equal) to 1 (nothing in common), base 2 (Lin 1991).

    Counts [n, K] of the same K kinds, at least one in each row; n divergences.
    """
    p, q = (side / side.sum(-1, keepdims=True) for side in (left, right))
    middle = (p + q) / 2
    return (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2


def moved_mix(
    measure: str, reference: np.ndarray, new: np.ndarray, margin: float, seed: int
) -> Drift | None:
    """How the shares of kinds moved: counts, int64 [K] each; None where either side is empty."""
    return _against_chance(measure, reference, new, jensen_shannon, margin, seed)


def moved_centroid(
    measure: str,
    reference: np.ndarray,
    new: np.ndarray,
    vectors: np.ndarray,
    rows: np.ndarray,
    margin: float,
    seed: int,
) -> Drift | None:
    """How far the mean vector of an event's item turned: 1 - cosine.

    Args:
        measure: its name.
        reference: int64 [K], events of each item.
        new: int64 [K], the same of the new ones.
        vectors: float32 [T, D], may be memory-mapped.
        rows: int64 [K], each item's row there.
        margin: what matters beyond chance.
        seed: of the draws.
    """

    def turned(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        sums = np.zeros((2, len(left), vectors.shape[1]))
        for start in range(0, len(rows), BLOCK):
            part = slice(start, start + BLOCK)
            sums += np.stack([left[:, part], right[:, part]]) @ vectors[rows[part]]
        norms = np.linalg.norm(sums, axis=-1).prod(0)
        return 1 - (sums[0] * sums[1]).sum(-1) / np.where(norms > 0, norms, 1)

    return _against_chance(measure, reference, new, turned, margin, seed)


def fallen_rate(
    measure: str, successes: np.ndarray, trials: np.ndarray, margin: float = 0.0
) -> Drift | None:
    """How far the newest of a row of rates lies below the mean of those before it.

    The floor is the half-width of the 95 % interval of a difference of two shares, with a success
    and a failure added to both (Agresti and Caffo 2000).

    Args:
        measure: its name.
        successes: int64 [T], in order of time.
        trials: int64 [T].
        margin: what matters beyond chance.

    Returns:
        None where there are not two times with trials.
    """
    tried = np.flatnonzero(trials)
    if len(tried) < 2:
        return None
    newest, older = tried[-1], tried[:-1]
    won = np.array([successes[older].sum(), successes[newest]], dtype=np.float64)
    n = np.array([trials[older].sum(), trials[newest]], dtype=np.float64)
    rates, guarded = won / n, (won + 1) / (n + 2)
    floor = SURE * float(np.sqrt((guarded * (1 - guarded) / (n + 2)).sum()))
    fall = float(rates[0] - rates[1])
    return Drift(measure, fall, floor, floor + margin, int(n[0]), int(n[1]))


def _against_chance(
    measure: str,
    reference: np.ndarray,
    new: np.ndarray,
    distances: Callable[[np.ndarray, np.ndarray], np.ndarray],
    margin: float,
    seed: int,
) -> Drift | None:
    """The distance of two sets of counts [K], and what it is between parts of the reference."""
    n, of = int(new.sum()), int(reference.sum())
    drawn = min(n, of // 2)
    if drawn == 0:
        return None
    rng = np.random.default_rng(seed)
    parts = rng.multivariate_hypergeometric(reference, drawn, REDRAWS, method="marginals")
    floor = float(distances(reference - parts, parts).max())
    value = float(distances(reference[None], new[None])[0])
    return Drift(measure, value, floor, floor + margin, of, n)


def _relative_entropy(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Bits [n] that p [n, K] takes more in the code of q, which is nowhere zero where p is not."""
    ratio = np.divide(p, q, out=np.ones_like(p), where=p > 0)
    return (p * np.log2(ratio)).sum(-1)
