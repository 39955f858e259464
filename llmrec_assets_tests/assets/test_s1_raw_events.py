"""Ingestion through Dagster: each event once, each row accounted for."""

import shutil

import pandas as pd
import pytest

from llmrec_assets.assets import s1_raw_events
from llmrec_assets.resources.landing import INCOMPLETE
from llmrec_assets_tests.assets.raw_store import HEADER, RawStore

CONTENT = """event_id, user_id, item_id, timestamp, step, behavior, rating, value, session_id, text,
    context, own_event_id"""


@pytest.fixture
def store(tmp_path):
    return RawStore(tmp_path)


def test_events_come_once_whatever_the_name_and_however_often(store):
    first = store.put("a.csv", HEADER + "007,1001,1,Browse\n007,1002,0, BUY \n")
    metadata, checks = store.run()
    assert store.rows("seq, user_id, item_id, step, timestamp, behavior") == [
        (1, "007", "1001", 1, None, "browse"),
        (2, "007", "1002", 0, None, "buy"),
    ]
    found = metadata["raw_events"]
    assert (found["max_seq"], found["new_events"], found["new_files"]) == (2, 2, 1)
    assert found["landing_fingerprint"] == store.landing.fingerprint("events")
    assert "relative" in found["time_kinds"]
    assert all(check.passed for check in checks.values())

    shutil.copy(first, first.with_name("copy.csv"))
    store.put("b.csv", HEADER + "007,1001,1,browse\nnew,1001,2,browse\n")
    found = store.run()[0]["raw_events"]
    assert (found["max_seq"], found["new_events"], found["duplicate_rows"]) == (3, 1, 1)
    assert store.accounts() == [("a.csv", 2, 2, 0, 0), ("b.csv", 2, 1, 1, 0)]
    before = store.rows()
    found = store.run()[0]["raw_events"]
    assert (found["max_seq"], found["new_events"], found["new_files"]) == (3, 0, 0)
    assert store.rows() == before


def test_formats_of_the_same_frame_agree(tmp_path):
    frame = pd.DataFrame(
        {
            "user_id": ["007", "中 文", "x"],
            "item_id": [1001, 1002, 1003],
            "timestamp": pd.to_datetime(
                ["2024-01-15 10:00", "2024-01-16 00:00", "2024-01-17 01:02"]
            ),
            "behavior": ["browse", "Buy", "rate"],
            "rating": [4.5, None, 5.0],
            "text": ['say "hi",\nthere', None, "NA"],
            "context": ['{"a": [1, 2]}', None, None],
            "unknown": ["x", "y", "z"],
        }
    )
    # Microseconds: the spelling of a time must not matter.
    epochs = frame.assign(timestamp=frame["timestamp"].astype("datetime64[us]").astype("int64"))
    found = []
    for write in (
        lambda path: frame.to_csv(path / "a.csv", index=False),
        lambda path: epochs.to_csv(path / "a.tsv", index=False, sep="\t"),
        lambda path: epochs.to_json(path / "a.jsonl", orient="records", lines=True),
        lambda path: frame.to_parquet(path / "a.parquet"),
    ):
        store = RawStore(tmp_path / str(len(found)))
        folder = store.landing.folder("events")
        folder.mkdir(parents=True)
        write(folder)
        metadata, _ = store.run()
        assert "unknown" in metadata["raw_events"]["time_kinds"]
        found.append(store.rows(CONTENT))
    assert len(found[0]) == 3
    assert all(rows == found[0] for rows in found)
    # One store that takes them all keeps each event once.
    for name in (
        "1/landing/events/a.tsv",
        "2/landing/events/a.jsonl",
        "3/landing/events/a.parquet",
    ):
        path = tmp_path / name
        shutil.copy(path, tmp_path / "0/landing/events" / path.name)
    store = RawStore(tmp_path / "0")
    assert store.run()[0]["raw_events"]["duplicate_rows"] == 9
    assert len(store.rows()) == 3


def test_bad_rows_are_rejected_with_line_and_reason_and_the_rest_goes_on(store):
    store.put(
        "a.csv",
        "event_id,user_id,item_id,timestamp,behavior,rating,context\n"
        'e1,u,i,1,browse,NaN,"{""a"": 1}"\n'
        ",,i,1,browse,,\n"
        ",u, ,1,browse,,\n"
        ",u,i,,browse,,\n"
        ",u,i,1,,,\n"
        ",u,i,1,browse,five,\n"
        ",u,i,1,browse,inf,\n"
        ",u,i,1,browse,,{a}\n"
        ",u,i,1\n"
        ",u,i,-1,browse,,\n"
        "e1,u,i,2,browse,,\n"
        "e1,u,i,1,Browse,,\n"
        'e1,u,i,1,Browse,,"{""a"":1}"\n'
        f",{'x' * 257},i,1,browse,,\n",
    )
    metadata, checks = store.run()
    assert store.rejections() == [
        ("a.csv", 3, "user_id is empty"),
        ("a.csv", 4, "item_id is empty"),
        ("a.csv", 5, "timestamp is empty"),
        ("a.csv", 6, "behavior is empty"),
        ("a.csv", 7, "rating is not a number"),
        ("a.csv", 8, "rating is not a number"),
        ("a.csv", 9, "context is not valid JSON"),
        ("a.csv", 10, "wrong number of columns (4, the header has 7)"),
        ("a.csv", 11, "timestamp is a step below 0"),
        ("a.csv", 12, "event_id came before with other content (a.csv, line 2)"),
        ("a.csv", 13, "event_id came before with other content (a.csv, line 2)"),
        ("a.csv", 15, "user_id is longer than 256 characters"),
    ]
    assert store.accounts() == [("a.csv", 14, 1, 1, 12)]
    assert store.rows("event_id, rating, context, own_event_id") == [("e1", None, '{"a":1}', True)]
    assert not checks["rejections_are_few"].passed
    shown = metadata["rejected_events"]
    assert "user_id is empty" in shown["reasons"]
    assert "xxx" not in str(shown)


def test_a_given_id_that_returns_with_other_content_names_its_file_and_line(store):
    header = "event_id," + HEADER
    store.put("a.csv", header + "e1,u,i,1,browse\n")
    store.run()
    store.put("b.csv", header + "e1,u,i,1,browse\ne1,u,i,9,browse\ne2,u,i,9,browse\n")
    store.run()
    reason = "event_id came before with other content (a.csv, line 2)"
    assert store.rejections() == [("b.csv", 3, reason)]
    assert store.accounts()[1] == ("b.csv", 3, 1, 1, 1)
    assert store.rows("seq, event_id") == [(1, "e1"), (2, "e2")]


def test_a_bad_file_is_one_rejection_and_not_tried_again(store):
    store.put("a.csv", "")
    store.put("b.csv", "who,what\n1,2\n")
    store.put("c.parquet", "PAR1")
    store.put("d.csv", HEADER + "u,never seen,2024-01-01,browse\n")
    store.put("README.md", "hello")
    store.put(".DS_Store", "hidden")
    metadata, _ = store.run()
    assert metadata["raw_events"]["new_files"] == 5
    rejected = store.rejections()
    assert [(file, line) for file, line, _ in rejected] == [
        (name, None) for name in ("README.md", "a.csv", "b.csv", "c.parquet")
    ]
    assert len(store.rows()) == 1
    assert sorted(store.accounts())[0] == ("README.md", 0, 0, 0, 0)
    assert store.run()[0]["raw_events"]["new_files"] == 0
    assert store.rejections() == rejected
    store.put("b.csv", HEADER + "u,i,2024-01-02,browse\n")
    assert store.run()[0]["raw_events"]["new_events"] == 1


def test_years_1_and_9999_are_kept(store):
    store.put("a.csv", HEADER + "u,i,0001-01-01,browse\nu,i,9999-12-31T23:59:59Z,browse\n")
    store.run()
    assert [row[0] for row in store.rows("timestamp::varchar")] == [
        "0001-01-01 00:00:00",
        "9999-12-31 23:59:59",
    ]


def test_an_unfinished_file_waits_and_the_fingerprint_says_so(store):
    path = store.put("a.csv", HEADER + "u,i,1,browse\n")
    with path.open("a") as writer:
        writer.write("u,i,2,browse\n")
        found = store.run()[0]["raw_events"]
        assert found["unfinished_files"] == ["a.csv"]
        assert found["landing_fingerprint"] == INCOMPLETE
        assert found["max_seq"] == 0
    assert store.run()[0]["raw_events"]["new_events"] == 2


def test_a_file_rewritten_while_it_was_read_is_taken_back(store, monkeypatch):
    path = store.put("a.csv", HEADER + "u,i,1,browse\n")
    take = s1_raw_events.take_events

    def interrupted(connection, arrival):
        taken = take(connection, arrival)
        path.write_text(HEADER + "u,i,1,browse\nu,i,2,browse\n")
        return taken

    monkeypatch.setattr(s1_raw_events, "take_events", interrupted)
    assert store.run()[0]["raw_events"]["unfinished_files"] == ["a.csv"]
    assert store.rows() == []
    monkeypatch.undo()
    assert store.run()[0]["raw_events"]["new_events"] == 2


def test_the_newest_delivery_of_an_item_wins(store):
    header = "item_id,title,price,Colour,stock\n"
    store.put("a.csv", HEADER + "u,i,1,browse\n")
    store.put("1.csv", header + "1,A,9.5,red,\n2,B,,,\n1,A,9.5,red,\n,C,1,,\n", "items")
    store.put("2.csv", header + "1,A2,free,red,\n3,D,1e2, ,\n", "items")
    store.run()
    columns = "item_id, title, price, attributes, seq"
    assert store.rows(columns, "raw_items", "item_id") == [
        ("1", "A", 9.5, '{"Colour":"red"}', 1),
        ("2", "B", None, None, 2),
        ("3", "D", 100.0, None, 3),
    ]
    assert store.rejections() == [
        ("1.csv", 5, "item_id is empty"),
        ("2.csv", 2, "price is not a number"),
    ]
    store.put("3.jsonl", '{"item_id":1,"title":"X"}\n{"item_id":1,"title":"Y","new":5}\n', "items")
    store.run()
    assert store.rows(columns, "raw_items", "item_id")[0] == ("1", "Y", None, '{"new":"5"}', 5)
    assert [row[1:] for row in store.accounts() if row[0][0] in "123"] == [
        (4, 2, 1, 1),
        (2, 1, 0, 1),
        (2, 2, 0, 0),
    ]
