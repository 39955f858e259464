from math import exp

import numpy as np
import pytest

from llmrec_assets.core.neighbours import FLOOR, ItemNeighbours
from llmrec_assets.core.sequences import Sequences
from llmrec_assets_tests.core.examples import (
    random_sequences,
    sequences_of,
    with_another_future,
)

USERS = [[1, 2, 3], [2, 1, 4, 4], [3], [5, 1]]


def expected(
    users: list[list[int]], n_items: int, steps: int, closeness: float, shrink: float
) -> np.ndarray:
    """Similarity of items by the definition, in loops; 0 is an event that is not positive."""
    ties = np.zeros((n_items + 1, n_items + 1))
    for user in users:
        for i, a in enumerate(user):
            for j, b in enumerate(user):
                if 0 < j - i <= steps and a and b:
                    ties[a, b] += closeness ** (j - i - 1)
                    ties[b, a] += closeness ** (j - i - 1)
    size = ties.sum(1) + shrink
    return ties / np.sqrt(np.outer(size, size))


def test_similarity_is_ties_over_the_geometric_mean_of_sizes():
    sequences = sequences_of(USERS)
    fitted = ItemNeighbours(sequences, 5, sequences.offsets[1:], steps=2, closeness=0.5, shrink=3)
    similar = expected(USERS, 5, 2, 0.5, 3)
    assert np.allclose(fitted.similarity.toarray(), similar)
    # The history 2, 1 asks with weights 0.8 and 1.
    scores = fitted.logits(sequences, np.array([5]), np.array([1]))[0]
    asked = (0.8 * similar[2] + similar[1]) / 1.8
    assert scores[0] == float("-inf")
    assert np.allclose(scores[1:].exp(), asked[1:] + FLOOR, atol=1e-6)


def test_events_at_or_after_the_end_of_training_do_not_count():
    ends = np.array([2, 5, 8, 9])  # of the users' 3, 4, 1 and 2 events
    before = ItemNeighbours(sequences_of(USERS), 5, ends)
    changed = [[1, 2, 5], [2, 1, 3, 3], [3], [5, 4]]
    after = ItemNeighbours(sequences_of(changed), 5, ends)
    assert (before.similarity != after.similarity).nnz == 0


def test_an_empty_history_finds_all_items_alike():
    sequences = sequences_of([*USERS, []])
    fitted = ItemNeighbours(sequences, 5, sequences.offsets[1:])
    scores = fitted.logits(sequences, sequences.offsets[-1:], np.array([4]))[0, 1:]
    assert np.allclose(scores.exp(), FLOOR)
    assert exp(float(scores[0])) > 0


def histories(items: np.ndarray, sequences: Sequences, ends: np.ndarray) -> list[list[int]]:
    spans = zip(sequences.starts, ends, strict=True)
    return [items[start:end].tolist() for start, end in spans]


@pytest.mark.parametrize("steps", [1, 3, 50])
@pytest.mark.parametrize("seed", [0, 1])
def test_scores_equal_a_count_in_loops(steps, seed):
    sequences = random_sequences(seed)
    lengths = np.diff(sequences.offsets)
    ends = sequences.starts + np.random.default_rng(seed).integers(0, lengths + 1)
    choices = {"steps": steps, "closeness": 0.7, "shrink": 2.0}
    fitted = ItemNeighbours(sequences, 9, ends, **choices, recent=4, decay=0.6)
    liked = np.where(sequences.positive, sequences.items, 0)
    similar = expected(histories(liked, sequences, ends), 9, **choices)
    assert np.allclose(fitted.similarity.toarray(), similar)
    users = np.arange(sequences.n_users)[::-1]
    scores = fitted.logits(sequences, sequences.offsets[users + 1], users)
    assert (scores[:, 0] == float("-inf")).all()
    for user, row in zip(users, scores, strict=True):
        newest = histories(sequences.items, sequences, sequences.offsets[1:])[user][:-5:-1]
        weights = [0.6**age for age in range(len(newest))]
        asked = sum(w * similar[item] for w, item in zip(weights, newest, strict=True))
        asked = np.zeros(10) + asked / max(sum(weights), 1e-9)
        assert np.allclose(row[1:].exp(), asked[1:] + FLOOR, atol=1e-6), user


def test_nothing_from_the_end_of_training_on_changes_a_score():
    sequences = random_sequences(2)
    ends = (sequences.starts + sequences.offsets[1:]) // 2
    other, other_ends = with_another_future(sequences, ends, seed=3)
    users = np.arange(sequences.n_users)
    before = ItemNeighbours(sequences, 8, ends).logits(sequences, ends, users)
    after = ItemNeighbours(other, 8, other_ends).logits(other, other_ends, users)
    assert np.array_equal(before, after)
