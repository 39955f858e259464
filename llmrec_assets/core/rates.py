"""Rates over users who answer more than once, how sure they are, and whether a measure rises.

NumPy only. A user's slots are not independent: who clicks, clicks again. So the number of slots is
divided by the design effect (Kish 1965), the variance of the rate by users over the variance of as
many independent slots, before it enters Wilson's interval (1927), which has a width at 0 and 1 too.
"""

from dataclasses import dataclass

import numpy as np

Z = 1.959964  # of a two-sided 95 % interval


@dataclass(frozen=True)
class UserSums:
    """Sums over users of what each did, float64 [G] for G groups: `hits` among `tries`."""

    hits: np.ndarray
    tries: np.ndarray
    hits_squared: np.ndarray  # sum of a user's hits, squared
    tries_squared: np.ndarray
    products: np.ndarray  # sum of a user's hits times tries


def rate_intervals(sums: UserSums) -> np.ndarray:
    """Rate, lower and upper end of its 95 % interval: float64 [G, 3]; NaN without tries."""
    with np.errstate(invalid="ignore", divide="ignore"):
        rate = sums.hits / sums.tries
        squares = sums.hits_squared - 2 * rate * sums.products + rate**2 * sums.tries_squared
        alone = rate * (1 - rate) * sums.tries  # the same sum, were every try by another user
        effect = np.where(alone > 0, np.maximum(squares / alone, 1), 1)
        n = sums.tries / effect
        middle = (rate + Z**2 / (2 * n)) / (1 + Z**2 / n)
        half = Z / (1 + Z**2 / n) * np.sqrt(rate * (1 - rate) / n + Z**2 / (4 * n**2))
    lower, upper = np.minimum(middle - half, rate), np.maximum(middle + half, rate)
    return np.column_stack([rate, lower.clip(0), upper.clip(None, 1)])


def mean_interval(mean: np.ndarray, deviation: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Ends of the 95 % interval of means in [0, 1] of `n` lists each: float64 [G, 2]."""
    with np.errstate(invalid="ignore", divide="ignore"):
        half = Z * deviation / np.sqrt(n)
    return np.column_stack([(mean - half).clip(0), (mean + half).clip(None, 1)])


def rises(values: np.ndarray, least: float) -> bool:
    """Whether a series goes up: surely, and by at least `least` from its first to its last third.

    Surely is a one-sided test at 5 % of the signs of all differences (Mann 1945, Kendall 1975),
    which no series of fewer than five values passes here.
    """
    n = len(values)
    if n < 5:
        return False
    later, earlier = np.tril_indices(n, -1)
    signs = np.sign(values[later] - values[earlier]).sum()
    deviation = np.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    third = n // 3
    return bool(
        (signs - 1) / deviation > 1.645 and values[-third:].mean() - values[:third].mean() >= least
    )
