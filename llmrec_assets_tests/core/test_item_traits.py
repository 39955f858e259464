"""Traits of items: who is in the head, and how fresh is fresh."""

import numpy as np

from llmrec_assets.core.item_traits import UNKNOWN_TIME, ItemTraits, freshness, long_tail


def test_the_head_is_the_fewest_most_popular_items_with_half_of_the_events():
    counts = np.array([0, 10, 4, 3, 2, 1, 0])
    assert long_tail(counts).tolist() == [False, False, True, True, True, True, True]
    assert long_tail(counts, 0.6).tolist() == [False, False, False, True, True, True, True]
    assert long_tail(np.array([0, 2, 2, 2, 0])).tolist() == [False] * 4 + [True]
    assert long_tail(np.array([0, 0, 0])).tolist() == [False, True, True]
    assert long_tail(np.array([0])).tolist() == [False]


def test_freshness_is_a_share_of_items_in_any_unit():
    times = np.array([0, 50, UNKNOWN_TIME, 10, 90, 50])
    expected = [0, 1 / 3, 0, 0, 1, 1 / 3]
    assert np.allclose(freshness(times), expected)
    times[[1, 3, 4, 5]] *= 1000
    assert np.allclose(freshness(times), expected)
    assert freshness(np.array([0, 7])).tolist() == [0, 0]


def test_what_is_not_given_is_alike_for_all():
    traits = ItemTraits.of(np.zeros((3, 0), np.float32))
    assert not traits.categories.any() and not traits.tail.any() and not traits.freshness.any()
