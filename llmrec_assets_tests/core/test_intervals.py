"""The bootstrap against scipy's, against theory and against itself in other blocks."""

import numpy as np
import pytest
from scipy import stats

from llmrec_assets.core import intervals
from llmrec_assets.core.intervals import bootstrap_means, mean_intervals


def gains(n=400, columns=3):
    rng = np.random.default_rng(5)
    return rng.normal(0.1, 1.0, (n, columns)) * (rng.random((n, columns)) < 0.3)


def test_intervals_equal_those_of_scipy_on_the_same_draws():
    own, other = gains().T[:2]
    found = mean_intervals((own - other)[:, None], seed=3)[0]
    expected = stats.bootstrap(
        (own, other),
        lambda a, b, axis: a.mean(axis) - b.mean(axis),
        paired=True,
        vectorized=True,
        n_resamples=2000,
        method="percentile",
        rng=np.random.default_rng(3),
    ).confidence_interval
    assert found.tolist() == pytest.approx([(own - other).mean(), *expected], rel=1e-9)


def test_resampled_means_spread_like_the_standard_error():
    values = gains(n=5000)
    spread = bootstrap_means(values).std(0)
    assert spread == pytest.approx(values.std(0) / np.sqrt(len(values)), rel=0.05)


def test_the_same_seed_gives_the_same_in_any_block(monkeypatch):
    values = gains(n=37)
    whole = bootstrap_means(values, seed=1)
    for cells in (1, 100, 3000):
        monkeypatch.setattr(intervals, "_CELLS", cells)
        assert bootstrap_means(values, seed=1) == pytest.approx(whole, rel=1e-12)
    assert not np.array_equal(bootstrap_means(values, seed=2), whole)


def test_scorers_that_are_alike_for_everybody_do_not_differ_by_chance():
    assert mean_intervals(np.full((50, 1), 0.25)).tolist() == [[0.25, 0.25, 0.25]]
    assert mean_intervals(np.array([[1.0]])).tolist() == [[1.0, 1.0, 1.0]]


def test_about_one_interval_in_twenty_misses():
    rng = np.random.default_rng(0)
    ends = [mean_intervals(rng.normal(size=(60, 1)), seed)[0] for seed in range(300)]
    missed = [not lower <= 0 <= upper for _, lower, upper in ends]
    assert 0.02 < np.mean(missed) < 0.10
