import numpy as np
import pytest
import torch
from sklearn.metrics import ndcg_score

from llmrec_assets.core.metrics import coverage, exposure, gini, mrr, ndcg, ranks, recall


def test_metrics_equal_an_independent_oracle():
    torch.manual_seed(0)
    scores = torch.randn(200, 40)
    targets = torch.randint(0, 40, (200,))
    rank = ranks(scores, targets).numpy()
    relevance = np.eye(40)[targets.numpy()]
    order = (-scores).argsort(1).numpy()
    place = np.array([o.tolist().index(t) + 1 for o, t in zip(order, targets, strict=True)])
    for k in (5, 10, 20):
        assert ndcg(rank, k).mean() == pytest.approx(ndcg_score(relevance, scores.numpy(), k=k))
        assert recall(rank, k).mean() == pytest.approx(np.mean(place <= k))
        assert mrr(rank, k).mean() == pytest.approx(np.mean(np.where(place <= k, 1 / place, 0)))


def test_a_constant_score_ranks_in_the_middle():
    assert ranks(torch.zeros(1, 101), torch.tensor([7])).item() == 51


def test_items_that_are_no_candidates_do_not_count():
    scores = torch.tensor([[float("-inf"), 3.0, float("-inf"), 1.0]])
    assert ranks(scores, torch.tensor([3])).item() == 2


def test_nan_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        ranks(torch.tensor([[1.0, float("nan")]]), torch.tensor([0]))


def test_exposure_coverage_and_gini():
    shown = exposure(np.array([[1, 2], [1, 0]]), n_items=4)
    assert shown.tolist() == [2, 1, 0, 0]
    assert coverage(shown) == 0.5
    assert gini(np.array([3, 3, 3])) == pytest.approx(0)
    assert gini(np.array([0, 0, 0, 8])) == pytest.approx(0.75)
    assert gini(np.zeros(3)) == 0
