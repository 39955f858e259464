"""Histories as Arrow's lists, beside the same put together in Python."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec_assets.core.histories import Named, OrderedEvents, histories, newest

ITEMS = Named(pa.array(["i0", "i1", "i2"]), pa.array(["Tea", "茶", "a, [b]"]))
BEHAVIORS = Named(pa.array(["buy", "view"]), pa.array(["bought", "view"]))
STEP = st.tuples(st.integers(0, 99), st.integers(0, 2), st.integers(0, 1))


def events_of(users: list[list[tuple[int, int, int]]]) -> OrderedEvents:
    columns = np.array([step for user in users for step in user], np.int64).reshape(-1, 3).T
    return OrderedEvents(np.array([len(user) for user in users], np.int64), *columns)


@given(st.lists(st.lists(STEP, min_size=1, max_size=5), max_size=5), st.integers(1, 6))
def test_every_user_has_the_newest_steps_oldest_first(users, most):
    made = histories(events_of(users), ITEMS, BEHAVIORS, most, " ", ", ")
    told = pa.table(made).to_pylist()
    assert len(told) == len(users)
    for row, user in zip(told, users, strict=True):
        kept = user[-most:]
        words = [f"{BEHAVIORS.words[b]} {ITEMS.words[i]}" for _, i, b in kept]
        assert row == {
            "n_events": len(user),
            "first_time": user[0][0],
            "last_time": user[-1][0],
            "item_ids": [f"i{i}" for _, i, _ in kept],
            "behaviors": [str(BEHAVIORS.ids[b]) for _, _, b in kept],
            "history_text": f"[{', '.join(words)}]",
        }


def test_places_of_the_newest():
    offsets, places = newest(np.array([1, 4, 2]), 2)
    assert offsets.tolist() == [0, 1, 3, 5]
    assert places.tolist() == [0, 3, 4, 5, 6]


def test_a_place_that_no_item_has_is_an_error():
    with pytest.raises(IndexError):
        histories(events_of([[(0, 3, 0)]]), ITEMS, BEHAVIORS, 2, " ", ", ")
