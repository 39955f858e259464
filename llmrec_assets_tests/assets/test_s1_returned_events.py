"""Events that feedback returned, and the full ones that come before or after them."""

import shutil

import pandas as pd
import pytest

from llmrec_assets.sql.s7_returns import return_events
from llmrec_assets_tests.assets.raw_store import RawStore

FULL = "event_id,user_id,item_id,timestamp,behavior,rating,session_id\n"


@pytest.fixture
def store(tmp_path):
    return RawStore(tmp_path)


def put_returned(store, *rows):
    """A file of events as stage 7 writes it; its name."""
    columns = ["event_id", "user_id", "item_id", "timestamp", "behavior"]
    return return_events(pd.DataFrame(rows, columns=columns), store.landing.folder("events"))


def test_a_full_event_takes_the_place_of_a_returned_one(store):
    name = put_returned(store, ("e1", "u", "i", "5", "click"), ("e2", "u", "j", "6", "click"))
    store.run()
    store.put("full.csv", FULL + "e1,u,i,4,click,5,s\ne3,u,k,7,buy,,\n")
    found = store.run()[0]["raw_events"]
    assert (found["new_events"], found["rejected_rows"], found["max_seq"]) == (2, 0, 4)
    expected = [(2, "e2", None, 6), (3, "e1", 5.0, 4), (4, "e3", None, 7)]
    assert store.rows("seq, event_id, rating, step") == expected
    assert store.accounts() == [(name, 2, 2, 0, 0), ("full.csv", 2, 2, 0, 0)]

    before = store.rows()
    for path in store.landing.folder("events").iterdir():
        shutil.copy(path, path.with_name(f"copy of {path.name}"))
    store.put("again.csv", FULL + "e3,u,k,7,buy,,\ne1,u,i,4,click,5,s\n")
    put_returned(store, ("e1", "u", "i", "5", "click"))
    found = store.run()[0]["raw_events"]
    assert (found["new_events"], found["duplicate_rows"], found["rejected_rows"]) == (0, 3, 0)
    assert store.rows() == before


def test_a_returned_event_adds_nothing_to_a_full_one(store):
    store.put("full.csv", FULL + "e1,u,i,4,click,5,s\n")
    store.run()
    before = store.rows()
    name = put_returned(store, ("e1", "u", "i", "5", "like"))
    store.run()
    assert store.rows() == before
    assert store.accounts()[1] == (name, 1, 0, 1, 0)
    assert store.rejections() == []


def test_both_in_one_ingestion_come_to_the_same_in_either_order(store):
    put_returned(store, ("e1", "u", "i", "5", "click"))
    store.put("a.csv", FULL + "e1,u,i,4,click,5,s\n")
    put_returned(store, ("e2", "u", "i", "5", "click"))
    store.put("z.csv", FULL + "e2,u,i,4,click,5,s\n")
    store.run()
    found = store.rows("event_id, rating, session_id, step", order="event_id")
    assert found == [("e1", 5.0, "s", 4), ("e2", 5.0, "s", 4)]
    assert store.rejections() == []


def test_two_responses_that_name_one_event_are_one_event(store):
    put_returned(store, ("e1", "u", "i", "5", "click"), ("e1", "u", "i", "6", "buy"))
    put_returned(store, ("e1", "u", "i", "7", "like"))
    found = store.run()[0]["raw_events"]
    assert (found["new_events"], found["duplicate_rows"], found["rejected_rows"]) == (1, 2, 0)


def test_a_full_event_of_another_user_or_item_is_refused(store):
    name = put_returned(store, ("e1", "u", "i", "5", "click"))
    store.run()
    before = store.rows()
    store.put("a.csv", FULL + "e1,someone,i,5,click,5,\ne1,u,other,5,click,5,\n")
    put_returned(store, ("e1", "u", "third", "5", "click"))
    store.run()
    assert store.rows() == before
    reason = f"event_id came before with another user or item ({name}, line 1)"
    assert [why for *_, why in store.rejections()] == [reason] * 3
    store.put("b.csv", FULL + "e1,someone,i,5,click,5,\ne1,u,i,5,click,5,\n")
    store.run()
    assert store.rows("event_id, user_id, rating") == [("e1", "u", 5.0)]
    reason = "event_id came before with another user or item (b.csv, line 3)"
    assert store.rejections()[2:] == [("b.csv", 2, reason), store.rejections()[-1]]


def test_only_one_full_event_takes_the_place_of_a_returned_one(store):
    put_returned(store, ("e1", "u", "i", "5", "click"))
    store.run()
    store.put("a.csv", FULL + "e1,u,i,5,click,,\ne1,u,i,5,click,4,\n")
    store.run()
    store.put("b.csv", FULL + "e1,u,i,5,click,5,\n")
    store.run()
    assert store.rows("seq, event_id, rating") == [(2, "e1", None)]
    reason = "event_id came before with other content (a.csv, line 2)"
    assert store.rejections() == [("a.csv", 3, reason), ("b.csv", 2, reason)]


def test_a_changed_copy_of_a_returned_file_counts_as_ordinary(store):
    name = put_returned(store, ("e1", "u", "i", "5", "click"))
    path = store.landing.folder("events") / name
    path.write_text(path.read_text() + '{"event_id":"e2"}\n')
    store.run()
    store.put("full.csv", FULL + "e1,u,i,4,click,5,s\n")
    store.run()
    reason = f"event_id came before with other content ({name}, line 1)"
    assert store.rejections()[0] == ("full.csv", 2, reason)
