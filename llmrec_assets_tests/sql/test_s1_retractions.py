"""A batch that was taken back: the tables are those of a store to which it never came."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmrec_assets.sql import s1_batches, s1_retractions
from llmrec_assets_tests.sql.stage_one import Store

HEADER = "event_id,user_id,item_id,timestamp,behavior,rating,caused_by\n"


def csv(rows):
    return HEADER + "".join(",".join(map(str, row)) + "\n" for row in rows)


ROW = st.tuples(
    st.sampled_from(["e1", "e2", "e3", "e4", ""]),
    st.sampled_from(["u1", "u2"]),
    st.sampled_from(["i1", "no item\x00", "i2"]),
    st.sampled_from(["1", "2", "soon"]),
    st.just("view"),
    st.sampled_from(["", "1", "x"]),
    st.sampled_from(["", "l1", "l2"]),
)
FILE = st.lists(ROW, min_size=1, max_size=6).map(csv)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(files=st.lists(FILE, min_size=2, max_size=4, unique=True), which=st.integers(0, 3))
def test_it_is_as_if_the_file_had_never_come(tmp_path, files, which):
    which %= len(files)
    store, pure = Store(tmp_path), Store(tmp_path)
    hashes = [store.take(f"{place}.csv", content) for place, content in enumerate(files)]
    for place, content in enumerate(files):
        if place != which:
            pure.take(f"{place}.csv", content)
    before = store.last_seq()
    gone, restored = store.retract(hashes[which])
    assert store.state(hashes[which]) == pure.state(hashes[which])
    assert gone >= restored
    numbers = store.numbers()
    assert len(numbers) == len(set(numbers))
    assert store.last_seq() >= max([before, *numbers])
    store.take(f"{which}.csv", files[which])
    assert store.state(hashes[which]) == pure.state(hashes[which]), "it never comes in again"


def test_what_feedback_returned_stands_in_again(tmp_path):
    store, pure = Store(tmp_path), Store(tmp_path)
    thin = {"event_id": "e1", "user_id": "u1", "item_id": "i1", "timestamp": 3, "behavior": "click",
            "caused_by": "l1"}  # fmt: skip
    for each in (store, pure):
        each.take("returned", json.dumps(thin) + "\n")
    batch = store.take("a.csv", csv([("e1", "u1", "i1", 3, "click", 5, "")]))
    assert store.rows("select rating, caused_by from s1_raw_events.raw_events") == [(5.0, "l1")]
    assert store.retract(batch) == (1, 1)
    assert store.state(batch) == pure.state(batch)


def test_a_batch_is_named_by_file_or_hash(tmp_path):
    store = Store(tmp_path)
    first = store.take("a.csv", csv([("e1", "u1", "i1", 1, "view", "", "")]))
    second = store.take("a.csv", csv([("e2", "u1", "i1", 1, "view", "", "")]))
    find = s1_batches.find_file
    assert find(store.connection, second[:8]) == ("events", second, "a.csv")
    with pytest.raises(s1_batches.UnknownFile, match=rf"more than once(.|\n)*{first}"):
        find(store.connection, "a.csv")
    with pytest.raises(
        s1_batches.UnknownFile, match=r"no file of events or items came in by that name.*a\.csv"
    ):
        find(store.connection, "b.csv")
    store.landed.clear()  # the landing zone was emptied
    assert s1_retractions.not_landed(store.connection, first, {}) == []
    store.retract(first)
    assert find(store.connection, "a.csv") == ("events", second, "a.csv"), (
        "what is taken back is no more"
    )
