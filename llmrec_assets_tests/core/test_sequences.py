import numpy as np

from llmrec_assets.core.batches import batch_of, bucketed, training_windows
from llmrec_assets.core.sequences import flat_rows, padded_rows, recent_items
from llmrec_assets_tests.core.examples import random_sequences, sequences_of


def test_padded_rows_keep_the_newest_events_and_pad_on_the_right():
    rows = padded_rows(np.array([0, 4, 9]), np.array([4, 5, 9]), 3)
    assert rows.tolist() == [[1, 2, 3], [4, -1, -1], [-1, -1, -1]]


def test_flat_rows_list_every_position_with_its_span():
    positions, spans = flat_rows(np.array([2, 7, 9]), np.array([4, 7, 10]))
    assert positions.tolist() == [2, 3, 9]
    assert spans.tolist() == [0, 0, 2]


def test_windows_hold_every_target_once_whatever_the_cut():
    starts, ends = np.array([0, 1, 1, 30]), np.array([1, 1, 30, 33])
    for seed in range(20):
        first, last = training_windows(starts, ends, 4, np.random.default_rng(seed))
        assert (last - first).max() <= 4
        assert (last - first).min() >= 1
        targets, _ = flat_rows(first + 1, last + 1)
        assert sorted(targets.tolist()) == [*range(2, 30), 31, 32]


def test_batches_hold_every_window_once_within_the_budget():
    lengths = np.random.default_rng(0).integers(1, 20, 200)
    groups = bucketed(lengths, 64, np.random.default_rng(1))
    assert sorted(np.concatenate(groups).tolist()) == list(range(200))
    assert max(lengths[group].sum() for group in groups) < 64 + 20
    assert all(np.ptp(lengths[group]) <= 3 for group in groups)


def test_a_batch_of_nobodys_events_is_padding():
    batch = batch_of(sequences_of([[]], n_numeric=2), np.array([[-1]]))
    assert batch.items.tolist() == [[0]]
    assert batch.text_rows.tolist() == [[-1]]
    assert batch.numeric.isnan().all()


def test_recent_items_weigh_the_newest_most():
    sequences = sequences_of([[1, 2, 1, 3], [], [2]])
    users, ends = np.array([2, 0, 1, 0]), np.array([5, 4, 4, 2])
    found = recent_items(sequences, ends, users, n_items=3, steps=3, decay=0.5).toarray()
    # Of user 0's newest three, 2, 1 and 3, with weights 1/4, 1/2 and 1.
    newest = [0, 2 / 7, 1 / 7, 4 / 7]
    assert np.allclose(found, [[0, 0, 1, 0], newest, [0] * 4, [0, 1 / 3, 2 / 3, 0]])


def test_recent_items_equal_a_sum_in_loops():
    sequences = random_sequences(0, longest=9)
    rng = np.random.default_rng(1)
    users = rng.integers(0, sequences.n_users, 100)
    ends = sequences.starts[users] + rng.integers(0, np.diff(sequences.offsets)[users] + 1)
    found = recent_items(sequences, ends, users, n_items=8, steps=4, decay=0.7).toarray()
    for user, end, row in zip(users, ends, found, strict=True):
        expected = np.zeros(9)
        for age in range(min(4, end - sequences.starts[user])):
            expected[sequences.items[end - 1 - age]] += 0.7**age
        assert np.allclose(row, expected / max(expected.sum(), 1e-9))
