"""Each thing that can be wrong with a store is named, with its remedy."""

import json

import duckdb
import pytest

from llmrec_assets import published
from llmrec_assets.operations.doctor import examine


@pytest.fixture
def store(root):
    """A root with a warehouse and a published package."""
    with duckdb.connect(str(root.warehouse)) as connection:
        connection.execute("create table a as select range as n from range(100000)")
    folder = root.packages / "p1"
    folder.mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    info = published.PublishedInfo(
        package_id="p1", model_version="v", source="model", data_fingerprint="", encoder="",
        generated_at="2026-01-01", settings={}, behaviors=[], dictionary={}, segments=[],
        relative=False, files={"a.txt": published._sha256(folder / "a.txt")},
    )  # fmt: skip
    (folder / published.INFO).write_text(info.model_dump_json())
    root.current_package.write_text(json.dumps({"package": "p1"}))
    return root


def ill(layout):
    return {finding.name: finding for finding in examine(layout) if not finding.well}


def test_a_sound_store_and_an_empty_one_are_well(store, tmp_path):
    assert ill(store) == {}
    empty = type(store)(tmp_path)
    assert ill(empty) == {}


def test_a_damaged_package_is_found(store):
    (store.packages / "p1" / "a.txt").write_text("b")
    found = ill(store)
    assert list(found) == ["published package"]
    assert "a.txt has changed" in found["published package"].says
    assert "refresh_lists" in found["published package"].remedy


def test_a_damaged_warehouse_is_found(store):
    raw = bytearray(store.warehouse.read_bytes())
    raw[4096:8192] = b"\x07" * 4096
    store.warehouse.write_bytes(raw)
    assert list(ill(store)) == ["warehouse"]


def test_a_file_of_keys_that_others_may_read_is_found(store):
    path = store.root / "api_keys.json"
    path.write_text("{}")
    path.chmod(0o644)
    assert ill(store)["keys"].says == "others may read api_keys.json"
    path.chmod(0o600)
    assert ill(store) == {}


def test_a_file_that_is_being_written_is_found(store):
    path = store.landing_events / "half.csv"
    with path.open("w") as file:
        file.write("user_id")
        file.flush()
        assert ill(store)["landing/events"].says == "not read: half.csv"


@pytest.mark.parametrize("broken", ["packages/p1/package.json", "current.json"])
def test_what_cannot_be_parsed_is_a_finding(store, broken):
    (store.serving / broken).write_text("[]")
    assert list(ill(store)) == ["published package"]
