"""What another policy would have earned in slots that were filled at random, from what was earned.

NumPy only. Each explored slot i of a list is one decision: in the context x of its user, history
and the items above it, the logging policy showed item a with propensity μ(a|x), the stored
probability of a Plackett-Luce draw without replacement, and saw the reward r (1 = clicked). With
the importance weight w = π(a|x) / μ(a|x) of the policy π that is asked about, and n slots:

- IPS  = Σ w r / n (Horvitz & Thompson 1952), unbiased where μ > 0 wherever π > 0;
- SNIPS = Σ w r / Σ w (Swaminathan & Joachims 2015), a little biased and far less noisy: an error
  in all weights alike cancels out;
- DR = Σ (E_π q(x,·) + w (r - q(x,a))) / n (Dudík et al. 2011), unbiased if either the propensities
  or the reward model q are right.

The items above a slot are those that were shown, so values are of one slot at a time, not of whole
lists. The effective sample, (Σ w)² / Σ w² (Kish 1965), says how many slots of the policy's own the
weighted ones are worth. Weights above `MAX_WEIGHT` count as that (Ionides 2008), which bounds the
noise and biases towards what was shown. The mean weight is near 1 where the log covers the policy.
"""

from dataclasses import dataclass

import numpy as np

from llmrec_assets.core.intervals import LEVEL, RESAMPLES, bootstrap_means

MAX_WEIGHT = 100.0
PRIOR_SLOTS = 20.0  # of the mean reward, that an item's own reward is drawn towards
FOLDS = 2


@dataclass(frozen=True)
class Slots:
    """The explored slots of a log, and what a policy would have done in them."""

    rewards: np.ndarray  # float64 [n]
    propensities: np.ndarray  # float64 [n], of the item that was shown, above 0
    chances: np.ndarray  # float64 [n], with which the policy shows that item
    predicted: np.ndarray  # float64 [n], q of that item
    expected: np.ndarray  # float64 [n], mean q of what the policy shows
    users: np.ndarray  # int64 [n], who is drawn anew for intervals


@dataclass(frozen=True)
class Estimate:
    """A policy's mean reward of a slot, and what it has more than the log earned."""

    estimator: str
    value: float
    lower: float
    upper: float
    difference: float
    difference_lower: float
    difference_upper: float


def weights(slots: Slots, most: float = MAX_WEIGHT) -> np.ndarray:
    """Importance weights, float64 [n], none above `most`."""
    return np.minimum(slots.chances / slots.propensities, most)


def effective_sample(weights: np.ndarray) -> float:
    """Kish's size of a weighted sample; 0 where nothing weighs anything."""
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares > 0 else 0.0


def estimates(
    slots: Slots, most: float = MAX_WEIGHT, seed: int = 0, resamples: int = RESAMPLES
) -> list[Estimate]:
    """IPS, SNIPS and DR of a policy, and `logged`, what the log itself earned.

    Intervals come from users drawn anew with replacement, all slots of a user together. Without
    any weight SNIPS is 0 by convention.
    """
    w, r = weights(slots, most), slots.rewards
    terms = {
        "weighted": w * r,
        "weights": w,
        "doubly": slots.expected + w * (r - slots.predicted),
        "rewards": r,
        "slots": np.ones(len(r)),
    }
    _, of_slot = np.unique(slots.users, return_inverse=True)
    by_user = np.column_stack([np.bincount(of_slot, term) for term in terms.values()])
    drawn = np.vstack([by_user.mean(0), bootstrap_means(by_user, seed, resamples)])
    means = dict(zip(terms, drawn.T, strict=True))
    logged = means["rewards"] / means["slots"]
    own = means["weights"]
    found = {
        "logged": logged,
        "ips": means["weighted"] / means["slots"],
        "snips": np.divide(means["weighted"], own, out=np.zeros_like(own), where=own > 0),
        "dr": means["doubly"] / means["slots"],
    }
    return [
        Estimate(name, *_interval(values), *_interval(values - logged))
        for name, values in found.items()
    ]


def _interval(values: np.ndarray) -> tuple[float, float, float]:
    """The first of `values`, and the ends of the percentile interval of the others."""
    tail = 100 * (1 - LEVEL) / 2
    lower, upper = np.percentile(values[1:], [tail, 100 - tail])
    return float(values[0]), float(lower), float(upper)


def item_rewards(
    codes: np.ndarray, rewards: np.ndarray, folds: np.ndarray, n_items: int
) -> np.ndarray:
    """The reward model q: an item's mean reward, drawn towards that of all where it is rare.

    Args:
        codes: int64 [n], the items shown, 1..V.
        rewards: float64 [n].
        folds: int64 [n], 0..FOLDS-1, of the users: a fold is predicted by the others alone.
        n_items: V.

    Returns:
        float64 [FOLDS, V+1]; row f never saw a reward of fold f.
    """
    rows = []
    for fold in range(FOLDS):
        others = folds != fold
        mean = rewards[others].mean() if others.any() else 0.0
        earned = np.bincount(codes[others], rewards[others], n_items + 1)
        shown = np.bincount(codes[others], minlength=n_items + 1)
        rows.append((earned + PRIOR_SLOTS * mean) / (shown + PRIOR_SLOTS))
    return np.vstack(rows)
