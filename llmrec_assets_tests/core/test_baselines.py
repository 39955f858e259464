import numpy as np
import pytest
import torch

from llmrec_assets.core.baselines import DecayedMarkov, Popularity
from llmrec_assets.core.own_history import OwnHistory
from llmrec_assets.core.ranking import evaluate
from llmrec_assets.core.splits import leave_one_out
from llmrec_assets_tests.core.examples import cycles, sequences_of


def test_popularity_counts_training_events_only():
    sequences = sequences_of([[1, 1, 2, 3, 3], [1, 3, 3]])
    popularity = Popularity(sequences, 3, np.array([3, 6]))
    row = popularity.logits(sequences, sequences.offsets[1:], np.array([0, 1]))[1]
    assert row[0] == float("-inf")
    assert row.exp().tolist() == pytest.approx([0, 3.5 / 5.5, 1.5 / 5.5, 0.5 / 5.5])


def test_markov_recovers_planted_transitions():
    sequences = cycles(n_items=20)
    split = leave_one_out(sequences)
    summary = evaluate(
        DecayedMarkov(sequences, 20, split.train_end), sequences, split.test
    ).summary()
    assert summary["mrr_at_5"] == 1


def test_markov_scores_are_log_probabilities():
    sequences = sequences_of([[1, 2, 3], [2, 3], []])
    markov = DecayedMarkov(sequences, 4, sequences.offsets[1:])
    logits = markov.logits(sequences, sequences.offsets[1:], np.arange(3))
    assert torch.allclose(logits.exp().sum(1), torch.ones(3))
    popularity = Popularity(sequences, 4, sequences.offsets[1:])
    assert torch.allclose(
        logits[2], popularity.logits(sequences, sequences.offsets[1:], np.arange(3))[2]
    )


def test_markov_skips_decay_and_shrinkage_by_hand():
    sequences = sequences_of([[1, 2, 3]])
    markov = DecayedMarkov(sequences, 3, np.array([3]), steps=2, decay=0.5, shrink=1.0)
    uniform = np.full(3, 1 / 3)
    # After 1: item 2 with weight 1 and item 3, one step skipped, with weight 0.5.
    after_one = (np.array([0, 1, 0.5]) + uniform) / 2.5
    assert np.allclose(
        markov.logits(sequences, np.array([1]), np.array([0])).exp()[0, 1:].numpy(), after_one
    )
    after_two = (np.array([0, 0, 1]) + uniform) / 2
    mixed = (after_two + 0.5 * after_one) / 1.5
    assert np.allclose(
        markov.logits(sequences, np.array([2]), np.array([0])).exp()[0, 1:].numpy(), mixed
    )


def test_own_history_counts_and_forgets_by_hand():
    """Of five training events two repeat an item of their user's; a dislike is no event here."""
    sequences = sequences_of([[1, 2, 1, 3], [2, 2, 3], []], positive=[[True] * 3 + [False],
                                                                      [True] * 3, []])  # fmt: skip
    own = OwnHistory(sequences, 4, np.array([3, 6, 7]), decay=0.5)
    assert own.repeats == 2 / 6
    popularity = np.array([2.5, 3.5, 0.5, 0.5]) / 7
    found = own.logits(sequences, sequences.offsets[1:], np.arange(3)).exp()[:, 1:].numpy()
    first = np.array([1 / 2 + 1 / 8, 1 / 4, 0, 0]) / (7 / 8)
    second = np.array([0, 1 / 2 + 1 / 4, 1, 0]) / (7 / 4)
    assert np.allclose(found[0], first / 3 + popularity * 2 / 3)
    assert np.allclose(found[1], second / 3 + popularity * 2 / 3)
    assert np.allclose(found[2], popularity)


def test_own_history_is_popularity_where_nobody_comes_back():
    sequences = sequences_of([[1, 2, 3], [2, 3], [3, 1]])
    ends, users = sequences.offsets[1:], np.arange(3)
    own = OwnHistory(sequences, 3, ends)
    popularity = Popularity(sequences, 3, ends)
    assert torch.allclose(
        own.logits(sequences, ends, users), popularity.logits(sequences, ends, users)
    )
