import numpy as np
import pytest
import torch

from llmrec_assets.core.networks.model import NextItemModel
from llmrec_assets.core.networks.scoring import NetworkScorer
from llmrec_assets.core.ranking import best, evaluate, top_k
from llmrec_assets.core.sequences import Sequences
from llmrec_assets.core.splits import leave_one_out
from llmrec_assets.core.training import fit
from llmrec_assets_tests.core.examples import catalogue, cycles, sequences_of, small


class Fixed:
    """Scores everybody alike."""

    def __init__(self, *scores: float) -> None:
        self.scores = torch.tensor([float("-inf"), *scores])

    def logits(self, sequences: Sequences, ends: np.ndarray, users: np.ndarray) -> torch.Tensor:
        return self.scores.repeat(len(users), 1)


def test_a_constant_scorer_earns_what_a_random_order_earns():
    evaluation = evaluate(Fixed(*[0.0] * 50), sequences_of([[1, 2, 3], [4, 5]]), np.array([2, 4]))
    assert evaluation.ranks.first.tolist() == [1, 1]
    assert evaluation.ranks.last.tolist() == [50, 50]
    assert evaluation.masked_ranks.last.tolist() == [48, 49]
    assert evaluation.summary()["recall_at_20"] == pytest.approx(20 / 50)


def test_masking_takes_the_history_off_the_candidates_but_not_the_target():
    users = sequences_of([[3, 2, 1], [3, 3], [3]])
    evaluation = evaluate(Fixed(1, 2, 3), users, np.array([2, 4, -1]))
    assert evaluation.users.tolist() == [0, 1]
    assert evaluation.ranks.first.tolist() == evaluation.ranks.last.tolist() == [3, 1]
    assert evaluation.masked_ranks.last.tolist() == [1, 1]
    assert evaluation.shown[:, :3].tolist() == [[1, 0, 0], [2, 1, 0]]


def test_nobody_to_evaluate_gives_zeros():
    evaluation = evaluate(Fixed(1, 2), sequences_of([[1]]), np.array([-1]))
    assert len(evaluation.ranks) == 0
    assert evaluation.shown.shape == (0, 20)
    assert evaluation.summary()["masked_ndcg_at_10"] == 0


def test_evaluation_does_not_depend_on_the_block():
    sequences = cycles(n_items=30, n_users=70)
    split = leave_one_out(sequences)
    scorer = NetworkScorer(fit(sequences, catalogue(30), small(), split.train_end).model)
    one, many = (evaluate(scorer, sequences, split.test, block) for block in (1, 64))
    for a, b in ((one.ranks, many.ranks), (one.masked_ranks, many.masked_ranks)):
        assert np.array_equal(a.first, b.first)
        assert np.array_equal(a.last, b.last)
    assert np.array_equal(one.shown, many.shown)


def test_lists_hide_seen_items_and_items_not_allowed():
    users = sequences_of([[2], [4]])
    scorer = Fixed(1, 2, 3, 4)
    allowed = np.array([False, True, True, False, True])
    everything = top_k(scorer, users, np.array([0, 1]), 3, hide_seen=False)
    assert everything.codes.tolist() == [[4, 3, 2]] * 2
    filtered = top_k(scorer, users, np.array([0, 1]), 3, allowed=allowed)
    assert filtered.codes.tolist() == [[4, 1, 0], [2, 1, 0]]
    assert filtered.probabilities[0, 2] == 0
    expected = torch.tensor([1.0, 2, 3, 4]).softmax(0)
    assert torch.allclose(filtered.probabilities[0, 0], expected[3])


def test_ties_go_to_the_lower_code_also_at_the_end_of_the_list():
    scores = torch.tensor([[float("-inf"), 1.0, 5.0, 1.0, 1.0, 5.0]])
    assert best(scores, 4).tolist() == [[2, 5, 1, 3]]
    assert best(scores, 9).tolist() == [[2, 5, 1, 3, 4, 0, 0, 0, 0]]


@pytest.mark.parametrize("different", [30, 10**6])
@pytest.mark.parametrize("columns", [41, 2100])
def test_lists_equal_a_stable_sort_whatever_ties(columns, different):
    torch.manual_seed(0)
    scores = torch.randint(0, different, (500, columns)).float()
    scores[torch.rand(500, columns) < torch.rand(500, 1)] = float("-inf")
    scores[:3] = float("-inf")  # nothing, then a single item in the last columns
    scores[:, 0] = float("-inf")
    scores[1, -1] = 0.0
    found, order = scores.sort(dim=1, descending=True, stable=True)
    expected = order.masked_fill(found == float("-inf"), 0)
    for k in (1, 7, 41):
        assert torch.equal(best(scores, k), expected[:, :k])


def test_an_empty_history_is_ranked_by_popularity():
    sequences = sequences_of([[1, 1, 1, 2, 2, 3], []])
    model = NextItemModel(small(), catalogue(3), 0)
    model.counts.copy_(torch.tensor([0, 3, 2, 1]))
    lists = top_k(NetworkScorer(model), sequences, np.array([1]), 3)
    assert lists.codes.tolist() == [[1, 2, 3]]
