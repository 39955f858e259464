"""Ingestion through Dagster: each event once, each row accounted for."""

import shutil

import dagster as dg
import pandas as pd
import pytest

from llmrec_assets.assets import s1_raw_events
from llmrec_assets.resources.landing import INCOMPLETE, Landing
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.sql.s7_returns import return_events

HEADER = "user_id,item_id,timestamp,behavior\n"
ASSETS = [
    s1_raw_events.raw_events,
    s1_raw_events.raw_items,
    s1_raw_events.rejected_events,
    s1_raw_events.raw_events_exist,
    s1_raw_events.rejections_are_few,
    s1_raw_events.time_is_of_one_kind,
    s1_raw_events.newest_file_is_as_usual,
]
CONTENT = """event_id, user_id, item_id, timestamp, step, behavior, rating, value, session_id, text,
    context, own_event_id"""


class Store:
    """One data root."""

    def __init__(self, root):
        self.root = root
        self.warehouse = Warehouse(path=str(root / "w.duckdb"))
        self.landing = Landing(root=str(root), settle_seconds=0)

    def put(self, name, content, kind="events"):
        path = self.landing.folder(kind) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def run(self):
        """Ingest; metadata by asset, and which checks passed."""
        result = dg.materialize(
            ASSETS,
            resources={"warehouse": self.warehouse, "landing": self.landing},
            raise_on_error=False,
        )
        metadata = {
            event.asset_key.to_user_string(): {k: v.value for k, v in event.metadata.items()}
            for node in ("raw_events", "raw_items", "rejected_events")
            for event in result.asset_materializations_for_node(node)
        }
        checks = {e.check_name: e for e in result.get_asset_check_evaluations()}
        return metadata, checks

    def rows(self, columns="*", table="raw_events", order="seq"):
        query = f"select {columns} from s1_raw_events.{table} order by {order}"
        with self.warehouse.connect() as connection:
            return connection.execute(query).fetchall()

    def accounts(self):
        with self.warehouse.connect() as connection:
            files = connection.execute(
                """select name, rows, accepted, duplicates, rejected from s1_raw_events.files
                order by ingested_at"""
            ).fetchall()
        assert all(rows == sum(parts) for _, rows, *parts in files)
        return files

    def rejections(self):
        return self.rows("file, line, reason", "rejected_events", "file, line")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path)


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
        store = Store(tmp_path / str(len(found)))
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
    store = Store(tmp_path / "0")
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


FULL = "event_id,user_id,item_id,timestamp,behavior,rating,session_id\n"


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


def test_no_events_fail_the_check_and_say_where_to_put_them(store):
    metadata, checks = store.run()
    assert metadata["raw_events"]["max_seq"] == 0
    check = checks["raw_events_exist"]
    assert not check.passed
    assert str(store.landing.folder("events")) in check.description


def test_mixed_kinds_of_time_are_warned_of(store):
    store.put("a.csv", HEADER + "u,i,1,browse\n")
    store.put("b.csv", HEADER + "u,i,2024-01-01,browse\n")
    _, checks = store.run()
    check = checks["time_is_of_one_kind"]
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.WARN


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


def test_a_file_that_is_unlike_those_before_is_warned_of(store):
    for day in range(1, 5):
        rows = "".join(f"u{n},i{n % 5},2025-01-0{day}T0{n % 9}:00:00Z,buy,{n}\n" for n in range(20))
        store.put(f"day{day}.csv", HEADER.strip() + ",rating\n" + rows)
        _, checks = store.run()
        assert checks["newest_file_is_as_usual"].passed
    rows = "".join(f"u{n},new{n},2025-01-05T0{n % 9}:00:00Z,buy\n" for n in range(20))
    store.put("day5.csv", HEADER + rows)
    _, checks = store.run()
    check = checks["newest_file_is_as_usual"]
    assert not check.passed
    assert check.severity == dg.AssetCheckSeverity.WARN
    assert check.description == (
        "day5.csv: 0% of its events have rating; usual are 100%;"
        " 0% of its items were known before; usual are 100%."
    )
