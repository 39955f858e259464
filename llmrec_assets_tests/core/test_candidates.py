from dataclasses import replace

import numpy as np
import torch

from llmrec_assets.core import candidates
from llmrec_assets.core.candidates import feature_names, find_candidates
from llmrec_assets.core.item_clock import NAMES, ItemClock
from llmrec_assets.core.sequences import Sequences
from llmrec_assets_tests.core.examples import random_sequences, sequences_of


def test_the_likeliest_new_and_seen_items_are_found_with_what_is_known(monkeypatch):
    monkeypatch.setattr(candidates, "UNSEEN", 2)
    monkeypatch.setattr(candidates, "SEEN", 1)
    day = 86_400_000_000
    sequences = sequences_of(
        [[1, 2, 1, 3], [], [4], [1, 4]], [[0, day, 3 * day, 3 * day], [], [0], [9 * day] * 2]
    )
    clock = ItemClock(sequences, 6, sequences.offsets[1:])
    prior = torch.tensor([[0.1, 0.3, 0.05, 0.2, 0.25, 0.1]] * 3).log()
    users, ends = np.arange(3), sequences.offsets[1:4]
    found = find_candidates(prior, {"expert": prior}, clock, sequences, ends, users)
    pairs = list(zip(found.rows.tolist(), found.codes.tolist(), strict=True))
    # Of user 0, item 2 is the likeliest seen one; user 1 has no history; user 2 has seen item 4.
    assert pairs == [(0, 2), (0, 4), (0, 5), (2, 2), (2, 4), (2, 5)]
    names = feature_names({"expert": None})
    assert found.features.shape == (6, len(names))
    known = {name: found.features[:, column] for column, name in enumerate(names)}
    assert torch.equal(known["prior"], prior[found.rows, found.codes - 1])
    assert torch.allclose(known["times_seen"].expm1(), torch.tensor([1.0, 0, 0, 0, 1, 0]))
    assert torch.allclose(known["steps_since_seen"].expm1(), torch.tensor([3.0, 0, 0, 0, 1, 0]))
    assert torch.allclose(known["history_length"].expm1(), torch.tensor([4.0] * 3 + [1.0] * 3))
    assert torch.allclose(known["share_at_last_time"], torch.tensor([0.5] * 3 + [1.0] * 3))
    assert torch.allclose(known["last_gap"], torch.zeros(6))
    assert known["events"][0].expm1() == 1  # item 2, once before the last moment


def known_of(
    sequences: Sequences, ends: np.ndarray, prior: torch.Tensor
) -> tuple[list[tuple[int, int]], dict[str, torch.Tensor]]:
    """All users' candidates and the columns of their features by name."""
    clock = ItemClock(sequences, prior.shape[1], sequences.offsets[1:])
    users = np.arange(sequences.n_users)
    found = find_candidates(prior, {}, clock, sequences, ends, users)
    pairs = list(zip(found.rows.tolist(), found.codes.tolist(), strict=True))
    return pairs, dict(zip(feature_names({}), found.features.T, strict=True))


def test_candidates_equal_a_choice_in_loops(monkeypatch):
    monkeypatch.setattr(candidates, "UNSEEN", 3)
    monkeypatch.setattr(candidates, "SEEN", 2)
    sequences = random_sequences(0, n_users=30)
    ends = sequences.starts + np.diff(sequences.offsets) * 2 // 3
    prior = torch.randn(30, 8, generator=torch.Generator().manual_seed(0)).log_softmax(1)
    pairs, known = known_of(sequences, ends, prior)
    expected, counts, ages = [], [], []
    events = np.bincount(sequences.items)
    for user, (start, end) in enumerate(zip(sequences.starts, ends, strict=True)):
        history = sequences.items[start:end].tolist()
        order = sorted(range(1, 9), key=lambda item: -prior[user, item - 1])
        new = [item for item in order if item not in history][:3]
        seen = [item for item in order if item in history][:2]
        shared = any(events[item] > history.count(item) for item in history)
        for item in sorted(new + seen) if shared else []:
            expected.append((user, item))
            counts.append(history.count(item))
            ages.append(history[::-1].index(item) + 1 if item in history else 0)
    assert pairs == expected
    assert np.allclose(known["times_seen"].expm1(), counts, atol=1e-5)
    assert np.allclose(known["steps_since_seen"].expm1(), ages, atol=1e-5)


def test_a_user_is_told_by_pace_and_taste():
    day = 86_400_000_000
    sequences = sequences_of(
        [[1, 1, 2], [2, 1], [3], [3]],
        [[0, day, 4 * day], [5 * day, 8 * day], [9 * day], [9 * day]],
    )
    _, known = known_of(sequences, sequences.offsets[1:], torch.full((4, 3), 1 / 3).log())
    of_user = slice(None, None, 3)  # three candidates each
    assert np.allclose(known["last_gap"][of_user].expm1(), [3, 3, 0, 0])
    # Of user 1's events: item 2 occurred twice before the last moment, item 1 twice.
    assert np.allclose(known["taste_for_popular"][of_user], [np.log(3) * 2 / 3, np.log(3), 0, 0])
    assert np.allclose(known["share_at_last_time"][of_user], [1 / 3, 1 / 2, 1, 1])


def test_a_history_of_items_that_nobody_else_touched_has_no_candidate():
    sequences = sequences_of([[1, 2], [2], [3, 3], [1]])
    pairs, _ = known_of(sequences, sequences.offsets[1:], torch.zeros(4, 3).log_softmax(1))
    assert {user for user, _ in pairs} == {0, 1, 3}


def test_relative_times_tell_no_pace_and_no_popularity():
    sequences = replace(random_sequences(1), relative=True)
    prior = torch.zeros(sequences.n_users, 8).log_softmax(1)
    _, known = known_of(sequences, sequences.offsets[1:], prior)
    for name in (*NAMES, "last_gap", "taste_for_popular"):
        assert not known[name].any(), name
    assert known["history_length"].all()


def test_a_catalogue_smaller_than_the_number_of_candidates_is_whole():
    sequences = sequences_of([[1], [1, 1], [], [1, 2]])
    pairs, known = known_of(sequences, sequences.offsets[1:], torch.zeros(4, 2).log_softmax(1))
    assert pairs == [(0, 1), (0, 2), (1, 1), (1, 2), (3, 1), (3, 2)]
    assert all(column.isfinite().all() for column in known.values())
    alone = sequences_of([[1], [1, 1], []])
    pairs, _ = known_of(alone, alone.offsets[1:], torch.zeros(3, 1))
    assert pairs == [(0, 1), (1, 1)]
