"""What diversity costs: which weight is named."""

import numpy as np
import pandas as pd
import pytest

from llmrec_assets.core.deep_lists import DeepLists
from llmrec_assets.core.diversity_curve import WEIGHTS, bearable, diversity_curve
from llmrec_assets.core.diversity_plot import diversity_plot
from llmrec_assets.core.sequences import Catalogue


@pytest.mark.parametrize(
    ("costs", "named"),
    [([0, 0.02, 0.03], 0.0), ([0, 0.01, 0.03], 0.1), ([0, 0.02, 0.0], 0.0), ([0, -1, 0], 0.2)],
)
def test_the_weight_named_is_the_last_before_one_that_costs_too_much(costs, named):
    assert bearable(pd.DataFrame({"weight": [0.0, 0.1, 0.2], "cost": costs})) == named


def test_a_curve_of_two_users_by_hand():
    """Items 1 and 2 say the same; both users wanted item 2, which the second got first."""
    embeddings = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32)
    items = Catalogue(3, np.array([-1, 0, 1, 2], dtype=np.int32), embeddings, 1)
    codes = np.array([[1, 2, 3], [2, 1, 3]])
    scores = np.array([[-1.0, -1.1, -1.2]] * 2, dtype=np.float32)
    curve = diversity_curve(DeepLists(np.array([2, 2]), codes, scores), items, np.ones(4, int))
    assert curve["weight"].tolist() == list(WEIGHTS)
    second, third = 1 / np.log2(3), 1 / 2
    expected = [(1 + second) / 2] + [(1 + third) / 2] * 6
    assert curve["masked_ndcg_at_10"].tolist() == pytest.approx(expected)
    assert curve["cost"].tolist() == pytest.approx([1 - e / expected[0] for e in expected])
    assert curve["diversity_at_10"].tolist() == pytest.approx([2 / 3] * 7)
    assert bearable(curve) == 0
    assert len(diversity_plot(curve, 0.0).axes) == 3


def test_nobody_hit_is_no_division_by_nothing():
    items = Catalogue(2, np.array([-1, 0, 1], dtype=np.int32), np.eye(2, dtype=np.float32), 1)
    deep = DeepLists(np.array([2]), np.array([[1, 0]]), np.array([[-1.0, -np.inf]]))
    curve = diversity_curve(deep, items, np.array([0, 1, 1]))
    assert (curve["masked_ndcg_at_10"] == 0).all()
    assert bearable(curve) == 1.0
