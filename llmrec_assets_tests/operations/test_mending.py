"""Rejected rows go out to a file, are mended there, and come back as events and items."""

import csv
import hashlib
import io
import json
import stat

import pytest

from llmrec_assets.layout import Layout
from llmrec_assets.operations import erasure
from llmrec_assets.operations.mending import NotMendable, export_rejected, replay
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.sql import s1_rejections
from llmrec_assets.sql.s1_repairs import REFERENCE
from llmrec_assets_tests.assets.raw_store import HEADER, RawStore
from llmrec_assets_tests.operations.test_erasure import llmrec

LONG = "very " * 300
BAD = (
    HEADER.strip() + ",text\n"
    "=1+1,007,soon,buy,-2 of them\n"
    "u2,i2,2,buy,fine\n"
    f',i3,3,buy,"first line,\nsecond ""line"" {LONG}"\n'
    "u4,i4,4\n"
    "'quoted,+i5,,buy,\n"
)


@pytest.fixture
def layout(tmp_path):
    return Layout(tmp_path)


@pytest.fixture
def store(layout):
    store = RawStore(layout.root)
    store.warehouse = Warehouse(path=str(layout.warehouse))
    store.put("a.csv", BAD)
    return store


def mend(path, changes):
    """Change cells of an exported CSV file: line → cells, or None where it is taken out."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    kept = [row | changes.get(row["rejected_line"], {}) for row in rows
            if changes.get(row["rejected_line"], {}) is not None]  # fmt: skip
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=";", lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(kept)


def test_mended_cells_become_events_and_the_others_come_back_unchanged(store, layout, tmp_path):
    _, checks = store.run()
    assert not checks["rejections_are_few"].passed
    target = tmp_path / "mend.csv"
    written = export_rejected(layout, target, "events")
    assert (written.rows, written.lost, written.whole_files) == (4, 0, 0)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    cells = [c for row in csv.reader(io.StringIO(target.read_text("utf-8-sig"))) for c in row]
    assert not [cell for cell in cells if cell[:1] in tuple("=+-@\t\r\n")]
    assert {"'=1+1", "'007", "'-2 of them", "''quoted", "u4,i4,4"} <= set(cells)
    mend(
        target,
        {
            "2": {"timestamp": "1"},
            "4": {"user_id": "u3"},
            "6": {"user_id": "u4", "item_id": "i4", "timestamp": "4", "behavior": "buy"},
            "7": {"timestamp": "soon"},
        },
    )
    landed = replay(layout, target)
    metadata, checks = store.run()
    assert store.rows("user_id, item_id, step, text", order="step") == [
        ("=1+1", "007", 1, "-2 of them"),
        ("u2", "i2", 2, "fine"),
        ("u3", "i3", 3, f'first line,\nsecond "line" {LONG}'),
        ("u4", "i4", 4, None),
    ]
    assert "timestamp cannot be read" in metadata["rejected_events"]["reasons"]
    assert "user_id is empty" not in metadata["rejected_events"]["reasons"]
    query = "of_file, of_line, reason"
    assert store.rows(query, "repairs", "line") == [
        ("a.csv", 2, None),
        ("a.csv", 4, None),
        ("a.csv", 6, None),
        ("a.csv", 7, "timestamp cannot be read as a time"),
    ]
    assert store.rows("distinct file_hash", "repairs", "all") == [(landed.content_hash,)]

    before = store.rows(), store.rejections(), store.accounts()
    assert replay(layout, target) == landed
    assert store.run()[0]["raw_events"]["new_files"] == 0
    assert (store.rows(), store.rejections(), store.accounts()) == before

    mend_again = tmp_path / "again.jsonl"
    assert export_rejected(layout, mend_again, "events").rows == 1
    row = json.loads(mend_again.read_text())
    assert (row["user_id"], row["item_id"], row["rejected_because"]) == (
        "'quoted",
        "+i5",
        "timestamp cannot be read as a time",
    )
    mend_again.write_text(json.dumps(row | {"timestamp": 5}) + "\n\n")
    replay(layout, mend_again)
    _, checks = store.run()
    assert checks["rejections_are_few"].passed
    assert store.rows("user_id, item_id", order="step")[-1] == ("'quoted", "+i5")


def test_a_store_made_anew_from_the_landing_zone_has_the_mended_rows_too(store, layout, tmp_path):
    store.run()
    export_rejected(layout, tmp_path / "m.csv", "events")
    mend(tmp_path / "m.csv", {"2": {"timestamp": "1"}, "4": None, "6": None, "7": None})
    replay(layout, tmp_path / "m.csv")
    store.put("z.csv", HEADER + "u9,i9,9,buy\n")
    store.run()
    tables = ("raw_events", "repairs", "rejected_events")
    columns = "* exclude (seq, ingested_at)", "*", "* exclude (rejected_at)"
    before = [store.rows(c, t, "all") for c, t in zip(columns, tables, strict=True)]
    layout.warehouse.unlink()
    store.run()
    assert [store.rows(c, t, "all") for c, t in zip(columns, tables, strict=True)] == before


def test_an_item_keeps_what_it_has_of_its_own_and_what_later_files_say(store, layout, tmp_path):
    header = "item_id,title,price,file,line\n"
    store.put("1.csv", header + "1,A,free,f,7\n2,B,free,,\n", "items")
    store.run()
    store.put("2.csv", header + "2,B2,2,,\n", "items")
    store.run()
    target = tmp_path / "items.csv"
    assert export_rejected(layout, target, "items").rows == 2
    mend(target, {"2": {"price": "0"}, "3": {"price": "0"}})
    assert replay(layout, target).path.parent == layout.landing_items
    store.run()
    assert store.rows("item_id, title, price, attributes", "raw_items", "item_id") == [
        ("1", "A", 0.0, '{"file":"f","line":"7"}'),
        ("2", "B2", 2.0, None),
    ]
    assert export_rejected(layout, target, "items").rows == 0


def test_rows_are_mended_although_their_file_is_gone_or_was_rewritten(store, layout, tmp_path):
    store.run()
    target = tmp_path / "mend.csv"
    export_rejected(layout, target, "events")
    erasure.forget(layout, "u2")  # gives the file another content
    mend(target, {"2": {"timestamp": "1"}, "4": None, "6": None, "7": None})
    replay(layout, target)
    store.run()
    assert store.rows("user_id, step") == [("=1+1", 1)]
    assert export_rejected(layout, target, "events").rows == 3
    (layout.landing_events / "a.csv").unlink()
    written = export_rejected(layout, target, "events")
    assert (written.rows, written.lost) == (2, 1), "only the start of the long row was kept"


def test_a_row_of_an_erased_user_is_nothing_to_mend(store, layout, tmp_path):
    store.run()
    erasure.forget(layout, "u4")
    written = export_rejected(layout, tmp_path / "mend.jsonl", "events")
    assert (written.rows, written.lost) == (3, 0)
    assert "u4" not in (tmp_path / "mend.jsonl").read_text()


def test_a_user_who_was_named_by_a_mended_row_is_erased_and_the_row_stays_closed(
    store, layout, tmp_path
):
    store.run()
    target = tmp_path / "mend.csv"
    export_rejected(layout, target, "events")
    mend(target, {"2": None, "4": {"user_id": "somebody"}, "6": None, "7": None})
    landed = replay(layout, target)
    store.run()
    erasure.forget(layout, "somebody")
    assert "somebody" not in landed.path.read_text()
    assert store.rows("user_id") == [("u2",)]
    ((file_hash,),) = store.rows("file_hash", "repairs", "all")
    assert file_hash == hashlib.sha256(landed.path.read_bytes()).hexdigest()
    assert export_rejected(layout, target, "events").rows == 3
    assert store.run()[0]["raw_events"]["new_files"] == 0


def test_two_mended_files_that_an_erasure_makes_alike_are_one(store, layout, tmp_path):
    store.run()
    target = tmp_path / "mend.csv"
    export_rejected(layout, target, "events")
    exported = target.read_bytes()
    for cells in ({"user_id": "somebody"}, {"user_id": "somebody", "timestamp": "1"}):
        target.write_bytes(exported)
        mend(target, {"2": cells, "4": {"user_id": "u3"}, "6": None, "7": None})
        replay(layout, target)
        store.run()
    assert sorted(store.rows("user_id")) == [("somebody",), ("u2",), ("u3",)]
    erasure.forget(layout, "somebody")
    assert sorted(store.rows("user_id")) == [("u2",), ("u3",)]
    ((file_hash, *_), _) = repairs = store.rows("file_hash, line, reason", "repairs", "all")
    assert [row[1:] for row in repairs] == [(1, None), (2, None)]
    names = [path for path in layout.landing_events.iterdir() if path.name != "a.csv"]
    assert {hashlib.sha256(path.read_bytes()).hexdigest() for path in names} == {file_hash}
    assert store.run()[0]["raw_events"]["new_files"] == 0


def test_a_cell_that_stays_empty_leaves_the_row_to_be_mended(store, layout, tmp_path):
    store.run()
    target = tmp_path / "mend.csv"
    export_rejected(layout, target, "events")
    mend(target, {"2": {"timestamp": ""}, "4": None, "6": None, "7": None})
    replay(layout, target)
    store.run()
    with store.warehouse.connect() as connection:
        found = s1_rejections.open_rejections(connection, "events")
    assert [(one.file, one.line) for one in found] == [("a.csv", n) for n in (2, 4, 6, 7)]
    assert found[0].reason == "timestamp is empty"


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("a.xlsx", "x", r"must end in \.csv or \.jsonl"),
        ("a.csv", "", "has no rows"),
        ("a.csv", "user_id\nu\n", f"row 1 of a.csv has no {REFERENCE}"),
        ("a.csv", f"{REFERENCE}\nlists:x\n", "does not say events, or items"),
        ("a.csv", f"{REFERENCE}\nevents:x,y\n", "line 2: more cells than the header"),
        ("a.csv", f'{REFERENCE}\n"events:x\n', "line 2: unexpected end"),
        ("a.csv", b"\xff\xfe\x00", "is not UTF-8"),
        ("a.jsonl", "{}\n[1]\n", "line 2 is no JSON object"),
        ("a.jsonl", "{\n", "line 1 is no JSON object"),
    ],
)
def test_what_is_no_export_is_refused_and_nothing_lands(layout, tmp_path, name, text, why):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(NotMendable, match=why):
        replay(layout, path)
    assert not layout.landing.exists()


def test_by_commands_a_person_lists_mends_and_replays(store, layout, tmp_path):
    store.run()
    listed = llmrec(layout, "rejected")
    assert "events  a.csv, line 4: user_id is empty" in listed
    assert "4 rows and 0 whole files are to be mended" in listed
    assert "i3" not in listed
    assert "i3" in llmrec(layout, "rejected", "--rows", "--limit", "2")
    target = tmp_path / "mend.csv"
    assert "4 rows" in llmrec(layout, "rejected", "export", "--to", str(target))
    mend(target, {"2": {"timestamp": "1"}, "4": {"user_id": "u3"}, "6": None, "7": None})
    assert "2 rows are repaired" in llmrec(layout, "rejected", "replay", str(target))
    assert "2 rows and 0 whole files" in llmrec(layout, "rejected")
