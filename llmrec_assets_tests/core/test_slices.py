"""Who falls in which slice, and what a slice says."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from llmrec_assets.core.slices import (
    CLASSES,
    DAY,
    dimensions,
    guarded,
    popularity_classes,
    slice_means,
)
from llmrec_assets_tests.core.examples import sequences_of


def cut(users, targets, counts, times=None, behaviors=("browse", "buy"), **changes):
    sequences = replace(sequences_of(users, times=times), **changes)
    own = np.arange(len(users))
    return dimensions(
        sequences,
        sequences.starts + np.array(targets, dtype=np.int64),
        own,
        np.array(counts),
        list(behaviors),
    )


def test_histories_are_cut_by_their_length():
    lengths = [1, 2, 4, 5, 9, 10, 19, 20, 49, 50, 300]
    frame = cut([[1] * (n + 1) for n in lengths], lengths, [0, 1])
    expected = ["1", *["2 to 4"] * 2, *["5 to 9"] * 2, *["10 to 19"] * 2, *["20 to 49"] * 2]
    assert frame["history_length"].tolist() == [*expected, "50 or more", "50 or more"]


def classes(counts):
    return [CLASSES[code] for code in popularity_classes(np.array([0, *counts]))[1:]]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([20, 30, 30, 20, 0], ["tail", "head", "head", "tail", "cold"]),
        ([21, 19, 20, 20, 10, 10], ["head", "middle", "middle", "middle", "tail", "tail"]),
        ([90, 5, 5], ["head", "tail", "tail"]),
        ([2, 2, 2], ["head", "head", "head"]),  # no item is more popular than another
        ([0, 0], ["cold", "cold"]),
    ],
)
def test_head_and_tail_hold_a_fifth_of_the_training_events(counts, expected):
    assert classes(counts) == expected
    assert classes(counts[::-1]) == expected[::-1]


def test_targets_are_told_by_popularity_and_behaviour():
    frame = cut(
        [[1, 2], [2, 1], [1, 3]],
        [1, 1, 1],
        [0, 9, 1, 0],
        behaviors=("browse", "buy"),
    )
    assert frame["target_popularity"].tolist() == ["tail", "head", "cold"]
    codes = np.array([1, 2, 1, 1, 1, 2], dtype=np.int16)
    frame = cut([[1, 2], [2, 1], [1, 3]], [1, 1, 1], [0, 9, 1, 0])
    assert frame["target_behavior"].tolist() == ["browse"] * 3
    sequences = replace(sequences_of([[1, 2], [2, 1], [1, 3]]), behaviors=codes)
    frame = dimensions(sequences, np.array([1, 3, 5]), np.arange(3), np.ones(4), ["browse", "buy"])
    assert frame["target_behavior"].tolist() == ["buy", "browse", "buy"]


def test_the_same_day_needs_absolute_times():
    times = [[0, DAY - 1], [DAY - 1, DAY], [5, 3 * DAY]]
    users, targets = [[1, 1]] * 3, [1, 1, 1]
    assert cut(users, targets, [0, 1], times)["same_day"].tolist() == ["yes", "no", "no"]
    assert "same_day" not in cut(users, targets, [0, 1], times, relative=True)


def test_slices_are_means_over_their_users_in_order():
    frame = pd.DataFrame(
        {
            "size": pd.Categorical(["L", "S", "L", "S", "L"], ["S", "M", "L"]),
            "all": pd.Categorical(["x"] * 5, ["x"]),
        }
    )
    rng = np.random.default_rng(0)
    gains = pd.DataFrame({"ndcg": rng.random(5), "recall": rng.random(5)})
    found = slice_means(frame, gains)
    assert found.columns.tolist() == ["dimension", "slice", "position", "ndcg", "recall", "users"]
    assert found[["dimension", "slice", "position", "users"]].values.tolist() == [
        ["size", "S", 0, 2],
        ["size", "L", 2, 3],
        ["all", "x", 0, 5],
    ]
    for row in found.itertuples():
        own = gains[(frame[row.dimension] == row.slice).to_numpy()]
        assert [row.ndcg, row.recall] == pytest.approx(own.mean().tolist())


def test_new_users_cold_items_and_behaviours_are_guarded():
    frame = cut([[1] * 5, [1] * 6, [1, 2]], [4, 5, 1], [0, 9, 0])
    masks = {name: mask.tolist() for name, mask in guarded(frame).items()}
    assert masks == {
        "new_users": [True, False, True],
        "cold_items": [False, False, True],
        "behavior browse": [True, True, True],
    }
    assert "cold_items" not in guarded(cut([[1, 1]], [1], [0, 9]))


def test_nobody_is_in_no_slice():
    nobody = cut([], [], [0, 1])
    assert guarded(nobody) == {}
    found = slice_means(nobody, pd.DataFrame({"ndcg": np.zeros(0)}))
    assert found.empty
    assert "slice" in found
