"""Distances against values worked by hand, and alarms that chance must not raise."""

import numpy as np
import pytest

from llmrec_assets.core.drift import fallen_rate, jensen_shannon, moved_centroid, moved_mix


def spread(n_items=300, events=20_000, seed=0):
    """Counts of items whose popularity falls like 1 / rank."""
    shares = 1 / np.arange(1, n_items + 1)
    rng = np.random.default_rng(seed)
    return rng.multinomial(events, shares / shares.sum())


@pytest.mark.parametrize(
    ("left", "right", "bits"),
    [
        ([3, 1], [6, 2], 0.0),
        ([1, 0], [0, 5], 1.0),
        ([1, 1], [1, 0], 0.75 * np.log2(4 / 3)),
        ([1, 1, 0], [0, 1, 1], 0.5),
    ],
)
def test_the_divergence_is_the_published_one(left, right, bits):
    found = jensen_shannon(np.array([left]), np.array([right]))
    assert found == pytest.approx([bits], abs=1e-12)
    assert jensen_shannon(np.array([right]), np.array([left])) == pytest.approx(found)


@pytest.mark.parametrize("events", [1, 5, 50, 500, 5000, 50_000])
def test_a_sample_of_the_same_does_not_drift_however_small(events):
    reference = spread()
    alarms = [
        moved_mix("mix", reference, spread(events=events, seed=seed), 0.0, seed=0).drifted
        for seed in range(1, 41)
    ]
    assert sum(alarms) <= 8  # without a margin, chance passes the largest of 20 in 1 of 21
    assert not any(
        moved_mix("mix", reference, spread(events=events, seed=seed), 0.1, seed=0).drifted
        for seed in range(1, 41)
    )


def test_another_mix_drifts():
    reference, new = spread(), spread(events=500, seed=1)[::-1]
    found = moved_mix("mix", reference, new, 0.1, seed=0)
    assert found.drifted
    assert found.value > 0.5 > found.floor
    assert (found.reference, found.new) == (20_000, 500)
    assert found == moved_mix("mix", reference, new, 0.1, seed=0)


@pytest.mark.parametrize(("reference", "new"), [([0, 0], [1, 2]), ([5, 5], [0, 0]), ([1], [1])])
def test_nothing_is_said_where_there_is_nothing_to_compare(reference, new):
    assert moved_mix("mix", np.array(reference), np.array(new), 0.1, seed=0) is None


@pytest.fixture
def vectors():
    rng = np.random.default_rng(5)
    return (rng.normal(size=(400, 16)) + np.linspace(0, 4, 400)[:, None]).astype(np.float32)


def test_the_centroid_is_that_of_the_events(vectors):
    rows = np.arange(300)[::-1] + 50
    reference, new = spread(), spread(events=400, seed=1)
    found = moved_centroid("texts", reference, new, vectors, rows, 0.02, seed=0)
    a, b = (np.repeat(vectors[rows], n, axis=0).mean(0) for n in (reference, new))
    cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    assert found.value == pytest.approx(1 - cosine, abs=1e-5)
    assert not found.drifted


def test_other_texts_drift(vectors):
    reference, new = np.zeros(400, int), np.zeros(400, int)
    reference[:200], new[200:] = 50, 5
    turned = vectors.copy()
    turned[200:, :8] *= -1
    found = moved_centroid("texts", reference, new, turned, np.arange(400), 0.02, seed=0)
    assert found.drifted


@pytest.mark.parametrize(
    ("clicks", "shown", "drifted"),
    [
        ([100, 110, 50], [1000, 1000, 1000], True),
        ([100, 110, 95], [1000, 1000, 1000], False),
        ([100, 110, 130], [1000, 1000, 1000], False),
        ([100, 110, 0], [1000, 1000, 5], False),
        ([100, 0, 0], [1000, 0, 1000], True),
    ],
)
def test_a_rate_falls_when_chance_does_not_explain_it(clicks, shown, drifted):
    found = fallen_rate("click_through", np.array(clicks), np.array(shown))
    assert found.drifted is drifted


def test_the_interval_of_a_rate_is_that_of_agresti_and_caffo():
    found = fallen_rate("click_through", np.array([7, 3]), np.array([20, 10]))
    a, b = 8 / 22, 4 / 12
    assert found.value == pytest.approx(7 / 20 - 3 / 10)
    assert found.floor == pytest.approx(1.96 * np.sqrt(a * (1 - a) / 22 + b * (1 - b) / 12))


@pytest.mark.parametrize("shown", [[], [10], [0, 10], [10, 0]])
def test_a_rate_of_one_day_has_nothing_to_fall_from(shown):
    counts = np.array(shown, dtype=np.int64)
    assert fallen_rate("click_through", counts // 2, counts) is None
