"""The graph of items consumed together, and the batches drawn from it."""

import numpy as np
import pytest

from llmrec_assets.core.co_consumption import CoConsumption
from llmrec_assets.core.encoder_head import Pairs

FIRST, SECOND, WEIGHTS = [1, 2, 1, 4, 5], [2, 1, 3, 5, 6], [1.0, 2.0, 1.0, 4.0, 0.0]


@pytest.fixture
def graph() -> CoConsumption:
    return CoConsumption.of(Pairs(*map(np.array, (FIRST, SECOND, WEIGHTS))), n=7)


def test_both_directions_add_up_and_a_pair_without_weight_is_no_edge(graph):
    dense = graph.weights.toarray()
    np.testing.assert_array_equal(dense, dense.T)
    assert (dense[1, 2], dense[1, 3], dense[4, 5], dense[5, 6]) == (3, 1, 4, 0)
    assert graph.items.tolist() == [1, 2, 3, 4, 5]
    np.testing.assert_allclose(np.exp(graph.log_shares), np.array([0, 4, 3, 1, 4, 4, 0]) / 16)


def test_neighbours_share_a_row_and_others_have_nothing(graph):
    np.testing.assert_allclose(
        graph.among(np.array([1, 2, 3, 4])),
        [[0, 0.75, 0.25, 0], [1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]],
    )


def test_a_batch_has_distinct_items_with_neighbours_and_follows_the_seed(graph):
    for size in range(1, 6):
        batch = graph.batch(size, np.random.default_rng(size))
        assert len(set(batch.tolist()) & {1, 2, 3, 4, 5}) == size
        np.testing.assert_array_equal(graph.batch(size, np.random.default_rng(size)), batch)
    with pytest.raises(ValueError, match="5 items with a pair are fewer than 6"):
        graph.batch(6, np.random.default_rng(0))


def test_items_are_drawn_by_their_weight(graph):
    rng = np.random.default_rng(0)
    first = np.bincount([graph.batch(1, rng)[0] for _ in range(4000)], minlength=7) / 4000
    np.testing.assert_allclose(first, np.array([0, 4, 3, 1, 4, 4, 0]) / 16, atol=0.03)


def test_a_batch_shares_more_pairs_than_chance():
    """A long path, of which 40 of 2000 items drawn at random would hardly hold an edge."""
    n = 2000
    pairs = Pairs(np.arange(1, n), np.arange(2, n + 1), np.ones(n - 1, np.float32))
    graph = CoConsumption.of(pairs, n + 1)
    batch = graph.batch(40, np.random.default_rng(0))
    assert (graph.among(batch) > 0).any(1).mean() > 0.9
