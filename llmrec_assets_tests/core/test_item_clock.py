from dataclasses import replace

import numpy as np
import pytest

from llmrec_assets.core.item_clock import NAMES, WINDOWS, ItemClock
from llmrec_assets.core.sequences import Sequences
from llmrec_assets_tests.core.examples import (
    random_sequences,
    sequences_of,
    with_another_future,
)


def random_data(seed: int = 0, users: int = 40) -> Sequences:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 12, users)
    items = [rng.integers(1, 8, n).tolist() for n in lengths]
    times = [np.sort(rng.integers(0, 30, n)).tolist() for n in lengths]  # many ties
    return sequences_of(items, times)


def by_hand(sequences: Sequences, item: int, now: int) -> dict[str, float]:
    """The definition in a loop over events."""
    events = sorted(zip(sequences.times.tolist(), sequences.items.tolist(), strict=True))
    so_far = [t for t, _ in events if t < now]
    places = [sum(t < own for t in so_far) for own, i in events if i == item and own < now]
    n = len(so_far)
    known = {
        "events": np.log1p(len(places)),
        "unseen": float(not places),
        "since_last": np.log((n - places[-1]) / max(n, 1) + 1e-4 if places else 1 + 1e-4),
        "since_first": np.log((n - places[0]) / max(n, 1) + 1e-4 if places else 1e-4),
    }
    for window in WINDOWS:
        opened = n - int(window * n)
        known[f"events_{window:g}"] = np.log1p(sum(place >= opened for place in places))
    return known


def test_what_was_known_equals_a_count_by_hand():
    sequences = random_data()
    clock = ItemClock(sequences, 8, sequences.offsets[1:])
    asked = [(item, now) for item in range(1, 9) for now in (0, 1, 7, 15, 31)]
    found = clock.at(*(np.array(column) for column in zip(*asked, strict=True)))
    for (item, now), row in zip(asked, found, strict=True):
        expected = by_hand(sequences, item, now)
        assert list(expected) == list(NAMES)
        assert row == pytest.approx(list(expected.values()), abs=1e-5), (item, now)


def test_events_at_or_after_a_moment_tell_nothing_about_it():
    sequences, now = random_data(), 12
    later = sequences.times >= now
    rng = np.random.default_rng(1)
    changed = replace(
        sequences, items=np.where(later, rng.integers(1, 8, len(later)), sequences.items)
    )
    items, times = np.arange(1, 9), np.full(8, now)
    before = ItemClock(sequences, 8, sequences.offsets[1:]).at(items, times)
    after = ItemClock(changed, 8, changed.offsets[1:]).at(items, times)
    assert np.array_equal(before, after)
    fewer = sequences.starts + np.array(
        [(t < now).sum() for t in np.split(sequences.times, sequences.offsets[1:-1])]
    )
    assert np.array_equal(ItemClock(sequences, 8, fewer).at(items, times), before)


def test_relative_times_and_no_events_tell_nothing():
    sequences = random_data()
    stopped = ItemClock(replace(sequences, relative=True), 8, sequences.offsets[1:])
    assert not stopped.at(np.arange(1, 9), np.full(8, 20)).any()
    empty = ItemClock(sequences, 8, sequences.starts)
    assert not empty.at(np.arange(1, 9), np.full(8, 20)).any()


def test_more_events_from_a_moment_on_tell_nothing_about_it():
    sequences, now = random_data(), 12
    rng = np.random.default_rng(2)
    users = np.split(sequences.items, sequences.offsets[1:-1])
    times = np.split(sequences.times, sequences.offsets[1:-1])
    more = sequences_of(
        [*(user.tolist() for user in users), *rng.integers(1, 9, (90, 3)).tolist()],
        [*(own.tolist() for own in times), *[[now, now, now + 5]] * 90],
    )
    items = np.arange(1, 9)
    clocks = [ItemClock(data, 8, data.offsets[1:]) for data in (sequences, more)]
    for moment in range(now + 1):
        before, after = (clock.at(items, np.full(8, moment)) for clock in clocks)
        assert np.array_equal(before, after), moment
    before, after = (clock.at(items, np.full(8, now + 1)) for clock in clocks)
    assert not np.array_equal(before, after)


def test_what_lies_beyond_the_end_of_training_is_never_read():
    sequences = random_sequences(4)
    ends = (sequences.starts + sequences.offsets[1:]) // 2
    other, other_ends = with_another_future(sequences, ends, seed=5)
    items, times = np.tile(np.arange(1, 9), 40), np.repeat(np.arange(40), 8)
    before = ItemClock(sequences, 8, ends).at(items, times)
    assert np.array_equal(before, ItemClock(other, 8, other_ends).at(items, times))


def test_only_the_order_of_moments_counts():
    sequences = random_data()
    stretched = replace(sequences, times=sequences.times**3 - 50)
    items, times = np.tile(np.arange(1, 9), 31), np.repeat(np.arange(31), 8)
    before = ItemClock(sequences, 8, sequences.offsets[1:]).at(items, times)
    after = ItemClock(stretched, 8, sequences.offsets[1:]).at(items, times**3 - 50)
    assert np.array_equal(before, after)


def test_events_of_one_stamp_do_not_know_each_other():
    sequences = sequences_of([[1, 2], [1]], [[5, 5], [5]])
    clock = ItemClock(sequences, 2, sequences.offsets[1:])
    at_once, afterwards = (clock.at(np.array([1, 2]), np.full(2, t))[:, 0] for t in (5, 6))
    assert at_once.tolist() == [0, 0]
    assert np.allclose(np.expm1(afterwards), [2, 1])


def test_what_speaks_against_an_item_and_a_bot_do_not_make_it_popular():
    users = [[1, 2, 1, 1], [3, 2, 2, 3]]
    positive = [[True, True, False, False], [True] * 4]
    with_them, without = sequences_of(users, positive=positive), sequences_of([[1, 2], users[1]])
    items, late = np.arange(1, 4), np.full(3, 10**9)
    clocks = [ItemClock(own, 3, own.offsets[1:]) for own in (with_them, without)]
    assert clocks[0].counts.tolist() == clocks[1].counts.tolist() == [0, 1, 3, 2]
    assert np.array_equal(*(clock.at(items, late)[:, 0] for clock in clocks))
