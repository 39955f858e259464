from math import exp

import numpy as np

from llmrec_assets.core.neighbours import FLOOR, ItemNeighbours
from llmrec_assets_tests.core.examples import sequences_of

USERS = [[1, 2, 3], [2, 1, 4, 4], [3], [5, 1]]


def expected(steps: int, closeness: float, shrink: float) -> np.ndarray:
    """Similarity of items 1..5 by the definition, in loops."""
    ties = np.zeros((6, 6))
    for user in USERS:
        for i, a in enumerate(user):
            for j, b in enumerate(user):
                if 0 < j - i <= steps:
                    ties[a, b] += closeness ** (j - i - 1)
                    ties[b, a] += closeness ** (j - i - 1)
    size = ties.sum(1) + shrink
    return ties / np.sqrt(np.outer(size, size))


def test_similarity_is_ties_over_the_geometric_mean_of_sizes():
    sequences = sequences_of(USERS)
    fitted = ItemNeighbours(sequences, 5, sequences.offsets[1:], steps=2, closeness=0.5, shrink=3)
    similar = expected(2, 0.5, 3)
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
