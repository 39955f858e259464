"""What every ranking without training must do, and what each is by its definition."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch

from llmrec_assets.core import ease
from llmrec_assets.core.baselines import Popularity
from llmrec_assets.core.config import Baseline
from llmrec_assets.core.ease import Ease
from llmrec_assets.core.family import BASELINES, fit_baselines
from llmrec_assets.core.naive_bayes import NaiveBayes
from llmrec_assets.core.recent_popularity import RecentPopularity
from llmrec_assets_tests.core.examples import sequences_of

RNG = np.random.default_rng(0)
USERS = [RNG.integers(1, 7, RNG.integers(2, 9)).tolist() for _ in range(30)]
TIMES = [np.sort(RNG.integers(0, 50, len(user))).tolist() for user in USERS]


def test_every_name_is_a_baseline():
    assert set(BASELINES) == set(get_args(Baseline))


@pytest.mark.parametrize("name", get_args(Baseline))
def test_scores_are_finite_also_for_new_items_and_empty_histories(name):
    sequences = sequences_of([*USERS, []], [*TIMES, []])
    scorer = fit_baselines([name], sequences, 9, sequences.offsets[1:])[name]
    scores = scorer.logits(sequences, sequences.offsets[1:], np.arange(31))
    assert scores.shape == (31, 10)
    assert scores[:, 1:].isfinite().all()
    assert (scores[:, 0] == float("-inf")).all()
    nothing = fit_baselines([name], sequences, 9, sequences.starts)[name]
    assert nothing.logits(sequences, sequences.offsets[1:], np.arange(31))[:, 1:].isfinite().all()


@pytest.mark.parametrize("name", get_args(Baseline))
def test_nothing_after_the_end_of_training_counts(name):
    before = sequences_of(USERS, TIMES)
    ends = before.starts + np.diff(before.offsets) // 2
    changed = [
        user[: end - start] + [1] * (len(user) - (end - start))
        for user, start, end in zip(USERS, before.starts, ends, strict=True)
    ]
    scores = [
        fit_baselines([name], data, 6, ends)[name].logits(data, ends, np.arange(30))
        for data in (before, sequences_of(changed, TIMES))
    ]
    assert torch.equal(*scores)


def test_ease_is_the_ridge_regression_of_each_item_on_the_others():
    sequences = sequences_of(USERS)
    did = np.zeros((30, 6))
    for row, user in enumerate(USERS):
        did[row, np.array(user) - 1] = 1
    fitted = Ease(sequences, 6, sequences.offsets[1:], ridge=3.0)
    for item in range(6):
        others = np.delete(np.arange(6), item)
        x, y = did[:, others], did[:, item]
        weights = np.linalg.solve(x.T @ x + 3 * np.eye(5), x.T @ y)
        assert np.allclose(fitted.weights[others, item], weights, atol=1e-5)
    assert not np.diag(fitted.weights).any()


def test_ease_refuses_what_it_cannot_invert(monkeypatch):
    monkeypatch.setattr(ease, "MOST_ITEMS", 5)
    with pytest.raises(ValueError, match=r"too large for 6 .*item_neighbours"):
        Ease(sequences_of(USERS), 6, sequences_of(USERS).offsets[1:])


def test_ease_asks_with_the_newest_events_and_keeps_to_popularity_where_they_say_nothing():
    sequences = sequences_of([*USERS, [], [8]])
    ends = sequences.offsets[1:].copy()
    ends[31] -= 1  # item 8 is new, and one history is empty
    fitted = Ease(sequences, 9, ends, ridge=3.0, recent=2, decay=0.5)
    scores = fitted.logits(sequences, sequences.offsets[1:], np.arange(32)).exp()[:, 1:].numpy()
    weights = np.zeros((9, 9))
    weights[:6, :6] = fitted.weights
    for row, user in enumerate(USERS):
        told = (2 * weights[user[-1] - 1] + weights[user[-2] - 1]) / 3
        assert np.allclose(scores[row], np.maximum(told, 0) + ease.FLOOR, atol=1e-5)
    assert np.allclose(scores[30], fitted.popularity, atol=1e-6)
    assert np.allclose(scores[31], fitted.popularity, atol=1e-6)


def test_ease_counts_only_items_with_events(monkeypatch):
    monkeypatch.setattr(ease, "MOST_ITEMS", 6)
    sequences = sequences_of(USERS)
    few, many = (Ease(sequences, n, sequences.offsets[1:]) for n in (6, 1000))
    assert np.array_equal(few.weights, many.weights)


def test_naive_bayes_is_the_smoothed_product_of_probabilities():
    sequences = sequences_of(USERS)
    fitted = NaiveBayes(sequences, 6, sequences.offsets[1:], steps=2, decay=0.5, smoothing=4)
    preceded = np.zeros((7, 7))
    for user in USERS:
        for at, item in enumerate(user):
            for back in (1, 2):
                if at >= back:
                    preceded[user[at - back], item] += 0.5 ** (back - 1)
    prior = np.bincount(sequences.items, minlength=7)[1:] + 0.5
    prior = prior / prior.sum()
    chance = (preceded[1:, 1:] + 4 * prior[:, None]) / (preceded[1:, 1:].sum(0) + 4)
    history = USERS[0][-2:]
    weights = np.array([1, 2]) / 3 * fitted.evidence
    expected = np.log(prior)
    for item, weight in zip(history, weights, strict=True):
        expected = expected + weight * np.log(chance[item - 1] / prior[item - 1])
    found = fitted.logits(sequences, sequences.offsets[1:2], np.array([0]))[0, 1:].numpy()
    assert np.allclose(found - found[0], expected - expected[0], atol=1e-5)


def test_recent_popularity_follows_time_and_sees_no_later_event():
    early, late = [[1, 1, 1]] * 20, [[2, 2, 2]] * 20
    times = [[0, 1, 2]] * 20 + [[100, 101, 102]] * 20
    sequences = sequences_of(early + late, times)
    fitted = RecentPopularity(sequences, 3, sequences.offsets[1:], memory=0.1, shrink=1)
    scores = fitted.logits(sequences, sequences.offsets[1:], np.arange(40))
    assert scores[0].argmax() == 1
    assert scores[39].argmax() == 2
    # At the first event of all nothing had happened.
    first = fitted.logits(sequences, np.array([1]), np.array([0]))[0]
    assert torch.allclose(first[1], first[2], atol=1e-6)
    assert first[1] > first[3]


def test_recent_popularity_forgets_exponentially():
    sequences = sequences_of(USERS, TIMES)
    n = len(sequences.items)
    fitted = RecentPopularity(sequences, 6, sequences.offsets[1:], memory=0.1, shrink=3)
    found = fitted.logits(sequences, sequences.offsets[1:], np.arange(30)).exp()[:, 1:].numpy()
    order = np.argsort(sequences.times, kind="stable")
    for user, end in enumerate(sequences.offsets[1:]):
        past = [event for event in order if sequences.times[event] < sequences.times[end - 1]]
        expected = 3 * n / 10 * (np.bincount(sequences.items, minlength=7)[1:] + 0.5) / (n + 3)
        for age, event in enumerate(reversed(past)):
            expected[sequences.items[event] - 1] += (1 - 10 / n) ** age
        assert np.allclose(found[user], expected / expected.sum(), atol=1e-5)


def test_recent_popularity_of_relative_times_is_popularity():
    sequences = replace(sequences_of(USERS, TIMES), relative=True)
    span = (sequences, 6, sequences.offsets[1:])
    asked = (sequences, sequences.offsets[1:], np.arange(30))
    recent, always = (kind(*span).logits(*asked) for kind in (RecentPopularity, Popularity))
    assert torch.allclose(recent, always)


def test_recent_popularity_of_an_empty_history_is_the_newest_and_dislikes_do_not_count():
    times = [[*range(20)], [*range(100, 120)], []]
    liked = [[True] * 20, [True] * 10 + [False] * 10, []]
    sequences = sequences_of([[1] * 20, [2] * 20, []], times, liked)
    fitted = RecentPopularity(sequences, 2, sequences.offsets[1:], memory=0.05, shrink=1)
    asked = (sequences, sequences.offsets[1:], np.arange(3))
    empty = fitted.logits(*asked)[2].exp()[1:].numpy()
    # Of 30 likes 1.5 are remembered, nearly all of them item 2; all-time shares weigh as much.
    always = np.array([20.5, 10.5]) / 31
    assert np.allclose(empty, (always + np.array([0, 1])) / 2, atol=1e-3)
