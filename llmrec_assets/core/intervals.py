"""How sure a difference between two scorers is: bootstrap intervals, paired by user.

NumPy only. Users are drawn anew with replacement (Efron 1979), all scorers' gains of a
user together, so what is easy or hard for all alike cancels out. An interval tells what other users
might have said; it knows nothing of another training seed.
"""

from collections.abc import Iterator

import numpy as np

RESAMPLES = 2000
LEVEL = 0.95
_CELLS = 1 << 20  # users drawn at a time


def mean_intervals(values: np.ndarray, seed: int = 0) -> np.ndarray:
    """The mean of each column of `values` (float64 [n, C], n > 0) and where it may lie.

    Returns:
        float64 [C, 3]: the mean, and the ends of the percentile interval.
    """
    tail = 100 * (1 - LEVEL) / 2
    ends = np.percentile(bootstrap_means(values, seed), [tail, 100 - tail], axis=0)
    return np.column_stack([values.mean(0), *ends])


def bootstrap_means(values: np.ndarray, seed: int = 0, resamples: int = RESAMPLES) -> np.ndarray:
    """Means of `values` (float64 [n, C]) over users drawn with replacement, [resamples, C].

    All columns share their draws. The result is the same for any block.
    """
    draws = _draws(len(values), seed, resamples)
    return np.concatenate([times @ values for times in draws]) / len(values)


def _draws(n: int, seed: int, resamples: int) -> Iterator[np.ndarray]:
    """Blocks of how often each of n users is drawn in each resample, float64 [b, n]."""
    rng, size = np.random.default_rng(seed), max(1, _CELLS // n)
    for start in range(0, resamples, size):
        b = min(size, resamples - start)
        drawn = rng.integers(n, size=(b, n)) + n * np.arange(b)[:, None]
        yield np.bincount(drawn.ravel(), minlength=b * n).reshape(b, n).astype(np.float64)
