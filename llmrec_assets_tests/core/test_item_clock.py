from dataclasses import replace

import numpy as np
import pytest

from llmrec_assets.core.item_clock import NAMES, WINDOWS, ItemClock
from llmrec_assets.core.sequences import Sequences
from llmrec_assets_tests.core.examples import sequences_of


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
