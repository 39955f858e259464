import numpy as np
import pytest

from llmrec_assets.core.rates import UserSums, mean_interval, rate_intervals, rises


def sums_of(hits: np.ndarray, tries: np.ndarray) -> UserSums:
    """One group for each row of users' hits and tries [G, n]."""
    return UserSums(
        hits.sum(1), tries.sum(1), (hits**2).sum(1), (tries**2).sum(1), (hits * tries).sum(1)
    )


def test_users_who_try_once_have_wilsons_interval():
    hits = np.array([[1.0] * 10 + [0.0] * 90])
    found = rate_intervals(sums_of(hits, np.ones((1, 100))))[0]
    assert found == pytest.approx([0.1, 0.0552, 0.1744], abs=1e-4)  # Wilson 1927, n = 100


def test_the_interval_holds_the_truth_nineteen_times_of_twenty_though_users_click_alike():
    rng = np.random.default_rng(3)
    of_user = rng.beta(0.5, 4.5, (2000, 150))  # mean 0.1; some click everything, many nothing
    hits = rng.binomial(10, of_user).astype(float)
    tries = np.full(hits.shape, 10.0)
    _, lower, upper = rate_intervals(sums_of(hits, tries)).T
    assert ((lower <= 0.1) & (upper >= 0.1)).mean() == pytest.approx(0.95, abs=0.02)
    single = UserSums(hits.sum(1), tries.sum(1), hits.sum(1), tries.sum(1), hits.sum(1))
    naive = rate_intervals(single)  # as if every try were by another user
    assert ((naive[:, 1] <= 0.1) & (naive[:, 2] >= 0.1)).mean() < 0.85


def test_no_click_and_no_impression_are_told_apart():
    nothing, unknown = rate_intervals(
        UserSums(*(np.array(x) for x in ([0.0, 0], [20.0, 0], [0.0, 0], [20.0, 0], [0.0, 0])))
    )
    assert nothing[:2].tolist() == [0, 0]
    assert 0.1 < nothing[2] < 0.2
    assert np.isnan(unknown).all()


def test_means_have_intervals_within_their_range():
    found = mean_interval(np.array([0.5, 0.99]), np.array([0.2, 0.3]), np.array([100, 9]))
    assert found[0] == pytest.approx([0.4608, 0.5392], abs=1e-4)
    assert found[1, 1] == 1


def test_only_a_sure_and_large_rise_is_one():
    up = np.linspace(0.2, 0.5, 10)
    assert rises(up, 0.1)
    assert not rises(up, 0.4)
    assert not rises(up[::-1], 0.1)
    assert not rises(up[:4], 0.01)
    assert not rises(np.full(10, 0.3), 0.0)
    noise = np.random.default_rng(0).random((400, 10))
    assert np.mean([rises(row, 0.0) for row in noise]) < 0.08
