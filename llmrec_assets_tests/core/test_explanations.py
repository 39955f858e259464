"""Why an item: effects against histories written anew, shares that add up, sentences by example."""

import numpy as np
import pytest
import torch

from llmrec_assets.core.baselines import DecayedMarkov
from llmrec_assets.core.content import item_directions
from llmrec_assets.core.contributions import contributions, grouped
from llmrec_assets.core.explanations import explain, nearest_past
from llmrec_assets.core.occlusion import occlusion, without
from llmrec_assets.core.recommender import Recommender, fit_weights, make_experts
from llmrec_assets.core.splits import leave_one_out
from llmrec_assets_tests.core.examples import sequences_of
from llmrec_assets_tests.core.test_recommender import N_ITEMS, goods, shop


@pytest.fixture(scope="module")
def fitted():
    sequences = shop()
    split = leave_one_out(sequences)
    experts = make_experts(None, sequences, goods(), split.train_end)
    weights = fit_weights(experts, sequences, split.validation, seed=0)
    assert weights.reranker
    return sequences, weights.recommender(experts)


class Counted:
    """Counts how often another scorer is asked."""

    def __init__(self, scorer):
        self.scorer, self.calls = scorer, 0

    def logits(self, sequences, ends, users):
        self.calls += 1
        return self.scorer.logits(sequences, ends, users)


def test_an_effect_is_what_the_same_history_without_the_event_lacks(fitted):
    sequences, recommender = fitted
    user, codes = 7, np.array([3, 11])
    span = (int(sequences.offsets[user]), int(sequences.offsets[user + 1]))
    counted = Counted(recommender)
    found = occlusion(counted, sequences, span, codes)
    assert counted.calls == 1
    own = slice(*span)
    items, times = sequences.items[own].tolist(), sequences.times[own].tolist()

    def scored(left_out):
        kept = [i for i in range(len(items)) if i != left_out]
        other = sequences_of([[items[i] for i in kept]], [[times[i] for i in kept]])
        return recommender.logits(other, other.offsets[1:], np.array([0]))[0, codes].numpy()

    expected = [scored(None) - scored(i) for i in range(len(items))]
    np.testing.assert_allclose(found.effects, expected, atol=1e-5)
    assert found.positions.tolist() == list(range(*span))
    newest = occlusion(recommender, sequences, span, codes, most=2)
    np.testing.assert_allclose(newest.effects, expected[-2:], atol=1e-5)


def test_histories_that_are_left_out_keep_every_column_and_may_be_empty():
    sequences = sequences_of([[1, 2], [3, 4, 5]], n_numeric=3)
    shortened = without(sequences, (2, 5), [[3], [2, 4], [2, 3, 4]])
    assert np.diff(shortened.offsets).tolist() == [3, 2, 1, 0]
    assert shortened.items.tolist() == [3, 4, 5, 3, 5, 4]
    positions = [2, 3, 4, 2, 4, 3]
    np.testing.assert_array_equal(shortened.numeric, sequences.numeric[positions])
    np.testing.assert_array_equal(shortened.times, sequences.times[positions])
    assert shortened.n_users == 4 and not len(shortened.history_rows)


def test_shares_add_up_to_the_lead_over_the_candidates(fitted):
    sequences, recommender = fitted
    for user in (0, 7, 40):
        end = int(sequences.offsets[user + 1])
        history = (sequences, np.array([end]), np.array([user]))
        against = recommender.opinions(*history)[2].codes.numpy()
        final = recommender.logits(*history)[0].double().numpy()
        for code in (int(against[0]), int(against[-1])):
            shares = contributions(recommender, sequences, end, user, code)
            assert set(shares) == {*recommender.experts.prior, "time", "reranking"}
            lead = final[code] - final[against].mean()
            assert sum(shares.values()) == pytest.approx(lead, abs=1e-4)
            assert sum(grouped(shares).values()) == pytest.approx(lead, abs=1e-4)


def test_without_a_reranker_there_is_no_correction(fitted):
    sequences, recommender = fitted
    prior = Recommender(recommender.experts, recommender.powers, None)
    shares = contributions(prior, sequences, int(sequences.offsets[1]), 0, 5)
    assert shares["time"] == shares["reranking"] == 0
    assert grouped({"texts": 1, "words": 2, "network": 4, "time": 8, "reranking": 16}) == {
        "texts": 3, "behavior": 4, "time": 8, "reranking": 16
    }  # fmt: skip


def test_what_leads_to_an_item_is_named_first():
    """2 always follows 1, and nothing else leads to it; user 0 had 1 before 5."""
    others = [[1, 2], [3, 4], [5, 6]] * 20
    sequences = sequences_of([[3, 1, 5], *others])
    scorer = DecayedMarkov(sequences, 6, sequences.offsets[1:], steps=3)
    found = explain(scorer, sequences, 0, 2, np.zeros((7, 2), np.float32))
    first, *rest = found.drivers
    assert (first.item, first.position, first.behavior, first.time) == (1, 1, 1, 1)
    assert first.effect > 0.5 > max(driver.effect for driver in rest)
    assert found.told == [first]
    assert (found.parts, found.nearest) == ({}, [])


def test_nobodys_history_has_no_driver(fitted):
    _, recommender = fitted
    empty = sequences_of([[]])
    found = explain(recommender, empty, 0, 4, np.zeros((N_ITEMS + 1, 2), np.float32))
    assert found.drivers == found.told == found.nearest == []
    assert np.isfinite(list(found.shares.values())).all()


def test_the_whole_explanation_of_a_recommendation(fitted):
    sequences, recommender = fitted
    vectors = item_directions(goods(), np.ones(N_ITEMS + 1, bool))
    scores = recommender.logits(sequences, sequences.offsets[8:9], np.array([7]))
    code = int(torch.argmax(scores[0]))
    found = explain(recommender, sequences, 7, code, vectors)
    effects = [driver.effect for driver in found.drivers]
    assert effects == sorted(effects, reverse=True) and len(effects) == 6
    assert found.parts["texts"] == pytest.approx(found.shares["texts"] + found.shares["words"])
    similar = [cosine for _, cosine in found.nearest]
    assert similar == sorted(similar, reverse=True)
    past = set(sequences.items[sequences.offsets[7] : sequences.offsets[8]].tolist())
    assert {item for item, _ in found.nearest} <= past - {code}


def test_the_nearest_past_items():
    vectors = np.array([[0, 0], [1, 0], [0.6, 0.8], [0, 1], [0, 0], [-1, 0], [1, 0]])
    past = np.array([3, 6, 2, 1, 2, 4, 5])
    assert nearest_past(vectors, past, 1, 3) == [(6, 1.0), (2, 0.6)]
    assert nearest_past(vectors, past, 4, 3) == []
    assert nearest_past(vectors, past[:0], 1, 3) == []
