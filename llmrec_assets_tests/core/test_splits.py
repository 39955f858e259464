import numpy as np
import pytest

from llmrec_assets.core import splits
from llmrec_assets.core.splits import global_time_split, hold_out_last, leave_one_out
from llmrec_assets_tests.core.examples import sequences_of


def test_the_last_positive_event_is_the_test_and_the_one_before_the_validation():
    split = leave_one_out(sequences_of([[1, 2, 3, 4], [5, 6, 7]]))
    assert split.test.tolist() == [3, 6]
    assert split.validation.tolist() == [2, 5]
    assert split.train_end.tolist() == [2, 5]


def test_negative_events_are_no_targets():
    split = leave_one_out(
        sequences_of([[1, 2, 3, 4, 5]], positive=[[True, True, False, True, False]])
    )
    assert (split.test[0], split.validation[0], split.train_end[0]) == (3, 1, 1)


def test_a_target_needs_a_history():
    split = leave_one_out(sequences_of([[1], [1, 2], [3, 4, 5], []]))
    assert split.test.tolist() == [-1, 2, 5, -1]
    assert split.validation.tolist() == [-1, -1, 4, -1]


def test_no_fit_sees_the_last_two_events_or_a_target():
    rng = np.random.default_rng(0)
    lengths = rng.integers(0, 12, 300)
    users = [rng.integers(1, 9, n).tolist() for n in lengths]
    split_input = sequences_of(users, positive=[(rng.random(n) < 0.5).tolist() for n in lengths])
    split = leave_one_out(split_input)
    ends = split_input.offsets[1:]
    assert (split.train_end <= np.maximum(split_input.starts, ends - 2)).all()
    assert (split.train_end >= split_input.starts).all()
    for target in (split.validation, split.test):
        assert (split.train_end <= target)[target >= 0].all()
        assert split_input.positive[target[target >= 0]].all()
    both = (split.validation >= 0) & (split.test >= 0)
    assert (split.validation < split.test)[both].all()


def test_one_time_separates_past_and_targets():
    split = global_time_split(
        sequences_of(
            [[1, 2, 3], [4, 5, 6], [7, 8], [9]],
            times=[[1, 2, 3], [4, 90, 91], [92, 93], [5]],
            positive=[[True] * 3, [True, False, True], [True, True], [True]],
        ),
        test_share=0.4,
    )
    assert split.train_end.tolist() == [3, 4, 6, 9]
    # User 2 was not there before the cut: the first event is a history for the second only.
    assert split.test.tolist() == [-1, 5, -1, -1]
    assert (split.validation == -1).all()


def test_the_share_is_a_share():
    with pytest.raises(ValueError, match="between 0 and 1"):
        global_time_split(sequences_of([[1, 2]]), test_share=1.0)


def test_the_last_positive_event_before_an_end_is_held_out():
    rng = np.random.default_rng(0)
    lengths = rng.integers(0, 7, 60)
    items = [[1] * n for n in lengths]
    positive = [(rng.random(n) < 0.6).tolist() for n in lengths]
    sequences = sequences_of(items, positive=positive)
    ends = sequences.starts + rng.integers(0, lengths + 1)
    split = hold_out_last(sequences, ends)
    for user, (start, end) in enumerate(zip(sequences.starts, ends, strict=True)):
        found = [p for p in range(start, end) if sequences.positive[p]]
        usable = bool(found) and found[-1] > start
        assert split.validation[user] == (found[-1] if usable else -1)
        assert split.train_end[user] == (found[-1] if usable else end)
        assert split.test[user] == -1


@pytest.mark.parametrize("users", [[], [[]], [[1, 2, 3], []]])
def test_where_nothing_is_positive_nothing_is_held_out(users):
    sequences = sequences_of(users, positive=[[False] * len(user) for user in users])
    split = hold_out_last(sequences, sequences.offsets[1:])
    assert split.train_end.tolist() == sequences.offsets[1:].tolist()
    assert split.validation.tolist() == split.test.tolist() == [-1] * len(users)


def test_what_follows_the_held_out_event_is_not_trained_on():
    sequences = sequences_of([[1, 2, 3, 4]], positive=[[True, True, False, True]])
    split = hold_out_last(sequences, np.array([3]))
    assert (split.validation[0], split.train_end[0]) == (1, 1)


def test_a_target_that_the_history_holds_was_seen_before():
    sequences = sequences_of([[1, 2, 1], [1, 2, 3], [4, 4], [5]])
    split = leave_one_out(sequences)
    assert splits.seen_before(sequences, split.test).tolist() == [True, False, True, False]
