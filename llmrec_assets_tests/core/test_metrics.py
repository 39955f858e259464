"""The metrics against their definitions, written out slowly, and against scikit-learn."""

from itertools import pairwise, permutations
from math import log2

import numpy as np
import pytest
import torch
from sklearn.metrics import ndcg_score

from llmrec_assets.core.metrics import CUTS, Ranks, mrr, ndcg, ranks, recall, summarise


def lists_of(scores, target):
    """Every list that the scores allow: a bool for each place, whether the target stands there."""
    better = sum(score > scores[target] for score in scores)
    tied = sum(score == scores[target] for score in scores)
    for place in range(better, better + tied):
        yield [index == place for index in range(len(scores))]


def precision(relevant, k):
    return sum(relevant[:k]) / k


def average_precision(relevant, k):
    hits = [precision(relevant, i + 1) for i in range(k) if i < len(relevant) and relevant[i]]
    return sum(hits) / min(k, sum(relevant))


def reciprocal_rank(relevant, k):
    return next((1 / (i + 1) for i, hit in enumerate(relevant[:k]) if hit), 0.0)


def normalised_gain(relevant, k):
    def gain(places):
        return sum(hit / log2(i + 2) for i, hit in enumerate(places[:k]))

    return gain(relevant) / gain(sorted(relevant, reverse=True))


def hit(relevant, k):
    return sum(relevant[:k]) / sum(relevant)


ORACLES = [
    (recall, hit),
    (ndcg, normalised_gain),
    (mrr, reciprocal_rank),
    (mrr, average_precision),  # with one target they are one
    (lambda r, k: recall(r, k) / k, precision),
]


@pytest.mark.parametrize(("measure", "oracle"), ORACLES)
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("k", [1, *CUTS])
def test_metrics_are_means_of_their_definitions_over_all_orders_of_the_tied(
    measure, oracle, ties, k
):
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 8, (200, 40)) if ties else rng.normal(size=(200, 40))
    targets = rng.integers(0, 40, 200)
    expected = [
        np.mean([oracle(order, k) for order in lists_of(row, target)])
        for row, target in zip(scores.tolist(), targets.tolist(), strict=True)
    ]
    found = measure(ranks(torch.tensor(scores), torch.from_numpy(targets)), k)
    assert found.tolist() == pytest.approx(expected)


@pytest.mark.parametrize("k", CUTS)
def test_ndcg_equals_that_of_scikit_learn_also_where_scores_tie(k):
    rng = np.random.default_rng(1)
    scores, targets = rng.integers(0, 12, (300, 40)), rng.integers(0, 40, 300)
    found = ndcg(ranks(torch.from_numpy(scores), torch.from_numpy(targets)), k)
    assert found.mean() == pytest.approx(ndcg_score(np.eye(40)[targets], scores, k=k))


def test_shuffling_the_tied_gives_the_same_on_average():
    scores, target = [2, 1, 2, 3, 2, 0], 2
    orders = [
        [index == target for index in order]
        for order in permutations(range(6))
        if all(scores[a] >= scores[b] for a, b in pairwise(order))
    ]
    found = ranks(torch.tensor([scores]), torch.tensor([target]))
    for k in (1, 2, 3):
        expected = np.mean([normalised_gain(order, k) for order in orders])
        assert ndcg(found, k)[0] == pytest.approx(expected)


def test_a_constant_score_earns_what_a_random_order_earns():
    found = ranks(torch.zeros(1, 101), torch.tensor([7]))
    assert (found.first.item(), found.last.item()) == (1, 101)
    assert recall(found, 10)[0] == pytest.approx(10 / 101)
    assert mrr(found, 5)[0] == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4 + 1 / 5) / 101)


def test_items_that_are_no_candidates_do_not_count():
    scores = torch.tensor([[float("-inf"), 3.0, float("-inf"), 1.0]])
    found = ranks(scores, torch.tensor([3]))
    assert (found.first.item(), found.last.item()) == (2, 2)


@pytest.mark.parametrize("row", [[1.0, float("nan")], [float("nan"), float("inf")]])
def test_nan_is_refused(row):
    with pytest.raises(ValueError, match="NaN"):
        ranks(torch.tensor([[1.0, 2.0], row]), torch.tensor([0, 0]))


def test_no_targets_give_zeros():
    assert set(summarise(Ranks.joined([])).values()) == {0.0}
