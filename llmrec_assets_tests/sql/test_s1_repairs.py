"""Mended rows: each stands for one rejected row, and goes with its own file or with that one."""

import hashlib
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmrec_assets.sql import s1_rejections
from llmrec_assets.sql.s1_repairs import (
    NOT_BY_HAND,
    REFERENCE,
    REPAIRED_ALREADY,
    TAKEN_BACK,
    UNKNOWN,
    reference,
)
from llmrec_assets_tests.sql.stage_one import Store

HEADER = "event_id,user_id,item_id,timestamp,behavior\n"
BAD = HEADER + "e1,u1,i1,soon,view\ne2,u1,i2,2,view\n,,i3,3,view\n"  # lines 2 and 4


def hash_of(content):
    return hashlib.sha256(content.encode()).hexdigest()


def mended(content, name, *rows):
    """(line, cells) of rows of a file as a replay writes them."""
    return "".join(
        json.dumps({REFERENCE: reference("events", hash_of(content), line, name), **cells}) + "\n"
        for line, cells in rows
    )


def event(item="i1", step="1", **more):
    return {"user_id": "u1", "item_id": item, "timestamp": step, "behavior": "view", **more}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


def still_open(store):
    return [
        (r.file, r.line, r.reason) for r in s1_rejections.open_rejections(store.connection, None)
    ]


def events(store):
    return store.rows("select item_id, step from s1_raw_events.raw_events order by all")


def test_a_mended_row_becomes_an_event_and_the_rejected_one_is_closed(store):
    bad = store.take("a.csv", BAD)
    assert still_open(store) == [
        ("a.csv", 2, "timestamp cannot be read as a time"),
        ("a.csv", 4, "user_id is empty"),
    ]
    first = mended(BAD, "a.csv", (2, event("i1", "1", event_id="e1")), (4, event("i3", "x")))
    repaired = store.take("repaired-1.jsonl", first)
    assert events(store) == [("i1", 1), ("i2", 2)]
    assert still_open(store) == [("a.csv", 4, "timestamp cannot be read as a time")]
    assert store.rows(
        "select file_hash, line, of_hash, of_line from s1_raw_events.repairs order by all"
    ) == [
        (repaired, 1, bad, 2),
        (repaired, 2, bad, 4),
    ]
    assert s1_rejections.share_open(store.connection) == (5, 1, 0)
    before = store.state("")
    store.take("repaired-again.jsonl", first)
    assert store.state("") == before, "a second replay changes nothing"
    second = mended(BAD, "a.csv", (2, event("i1", "1", event_id="e1")), (4, event("i3", "3")))
    store.take("repaired-2.jsonl", second)
    assert events(store) == [("i1", 1), ("i2", 2), ("i3", 3)]
    assert still_open(store) == []


def test_a_row_is_repaired_once(store):
    store.take("a.csv", BAD)
    first = store.take("repaired-1.jsonl", mended(BAD, "a.csv", (4, event("i3"))))
    other = store.take("repaired-2.jsonl", mended(BAD, "a.csv", (4, event("i4"))))
    assert events(store) == [("i2", 2), ("i3", 1)]
    outcomes = s1_rejections.outcomes(store.connection, "events", other)
    assert outcomes == [("a.csv", 4, REPAIRED_ALREADY)]
    store.retract(first)
    assert events(store) == [("i2", 2), ("i4", 1)]
    assert [row[1] for row in still_open(store)] == [2]


def test_who_takes_back_a_file_takes_back_what_repaired_it(store):
    bad = store.take("a.csv", BAD)
    repaired = store.take("repaired-1.jsonl", mended(BAD, "a.csv", (4, event("i3"))))
    assert store.retract(bad) == (2, 0)
    assert events(store) == []
    assert still_open(store) == []
    outcomes = s1_rejections.outcomes(store.connection, "events", repaired)
    assert outcomes == [("a.csv", 4, TAKEN_BACK)]
    assert store.rows(
        "select rows, accepted, duplicates, rejected from s1_raw_events.files"
        f" where content_hash = '{repaired}'"
    ) == [(1, 0, 0, 1)]
    late = store.take("repaired-2.jsonl", mended(BAD, "a.csv", (2, event("i1"))))
    assert s1_rejections.outcomes(store.connection, "events", late)[0][2] == TAKEN_BACK


def test_the_order_of_the_two_files_does_not_matter(tmp_path):
    stores = [Store(tmp_path), Store(tmp_path)]
    files = [("a.csv", BAD), ("repaired-1.jsonl", mended(BAD, "a.csv", (4, event("i3"))))]
    for store, order in zip(stores, (files, files[::-1]), strict=True):
        for name, content in order:
            store.take(name, content)
    assert stores[0].state("") == stores[1].state("")
    assert still_open(stores[0]) == still_open(stores[1])


def test_a_file_that_an_erasure_rewrote_is_known_by_its_name(store):
    rewritten = BAD.replace("e2,u1,i2,2,view", "")
    store.take("a.csv", rewritten)
    store.take("repaired-1.jsonl", mended(BAD, "a.csv", (4, event("i3"))))
    assert store.rows("select of_hash from s1_raw_events.repairs") == [(hash_of(rewritten),)]
    assert [row[1] for row in still_open(store)] == [2]


@pytest.mark.parametrize(
    "row",
    [
        {REFERENCE: "events:12", **event()},
        {REFERENCE: reference("items", hash_of(BAD), 4, "a.csv"), **event()},
        {REFERENCE: reference("events", hash_of(BAD), 3, "a.csv"), **event()},
    ],
)
def test_a_row_that_repairs_nothing_is_refused(store, row):
    store.take("a.csv", BAD)
    repaired = store.take("repaired-1.jsonl", json.dumps(row) + "\n")
    assert [r[2] for r in s1_rejections.outcomes(store.connection, "events", repaired)] == [UNKNOWN]
    assert events(store) == [("i2", 2)]
    assert len(still_open(store)) == 2


def test_an_export_in_the_landing_zone_is_refused_as_a_whole(store):
    store.take("a.csv", BAD)
    store.take("mended.jsonl", mended(BAD, "a.csv", (4, event("i3"))))
    assert still_open(store)[-1] == ("mended.jsonl", None, NOT_BY_HAND)
    assert events(store) == [("i2", 2)]


def test_a_later_file_of_the_same_name_ends_the_rejections_of_the_one_it_replaces(store):
    store.take("whole.csv", "who,what\n1,2\n")
    store.take("a.csv", BAD)
    store.take("other.csv", HEADER + "e9,u1,i9,9,view\n")
    assert len(still_open(store)) == 3
    whole = store.take("whole.csv", HEADER + "e8,u1,i8,8,view\n")
    assert len(still_open(store)) == 2
    tomorrow = "".join(f"n{n},u1,i{n},9,view\n" for n in range(3))
    store.take("a.csv", HEADER + tomorrow)
    assert [r[:2] for r in still_open(store)][:2] == [("a.csv", 2), ("a.csv", 4)]
    store.take("a.csv", BAD.replace("soon", "1"))
    assert [r[:2] for r in still_open(store)] == [("a.csv", 4)]
    store.retract(whole)
    assert ("whole.csv", None) in [r[:2] for r in still_open(store)]


CELLS = st.fixed_dictionaries(
    {
        "user_id": st.sampled_from(["u1", ""]),
        "item_id": st.sampled_from(["i1", "i2"]),
        "timestamp": st.sampled_from(["1", "soon"]),
        "behavior": st.just("view"),
        "event_id": st.sampled_from(["", "e1", "e2", "e3"]),
    }
)
PLAIN = st.lists(CELLS, min_size=1, max_size=4)
MENDED = st.lists(st.tuples(st.sampled_from([2, 4]), CELLS), min_size=1, max_size=4)


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(repairs=st.lists(MENDED, min_size=1, max_size=3), plain=PLAIN, which=st.integers(0, 3))
def test_without_a_file_it_is_as_if_it_had_never_come(tmp_path, repairs, plain, which):
    contents = [
        (f"repaired-{n}.jsonl", mended(BAD, "a.csv", *rows)) for n, rows in enumerate(repairs)
    ]
    contents.append(("b.jsonl", "".join(json.dumps(row) + "\n" for row in plain)))
    contents = list({content: (name, content) for name, content in contents}.values())
    which %= len(contents)
    store, pure = Store(tmp_path), Store(tmp_path)
    for each in (store, pure):
        each.take("a.csv", BAD)
    hashes = [store.take(name, content) for name, content in contents]
    for place, (name, content) in enumerate(contents):
        if place != which:
            pure.take(name, content)
    store.retract(hashes[which])
    assert store.state(hashes[which]) == pure.state(hashes[which])
    assert still_open(store) == still_open(pure)
