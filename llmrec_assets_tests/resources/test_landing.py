"""Which files count as whole."""

import gc
import os
import sys
import time

import pytest

from llmrec_assets.resources.landing import INCOMPLETE, Landing


@pytest.fixture
def landing(tmp_path):
    landing = Landing(root=str(tmp_path), settle_seconds=0.05)
    landing.folder("events").mkdir(parents=True)
    return landing


def put(landing, name, content="x"):
    path = landing.folder("events") / name
    path.write_text(content)
    return path


def test_a_missing_folder_is_empty(tmp_path):
    landing = Landing(root=str(tmp_path))
    assert landing.ready_files("items") == []
    assert not landing.has_files("events", "items", "feedback")
    assert landing.fingerprint("items") == landing.fingerprint("items")


def test_whole_files_come_in_the_order_of_names(landing):
    put(landing, "b.csv", "b")
    put(landing, "a.csv", "a")
    files = landing.ready_files("events")
    assert [file.name for file in files] == ["a.csv", "b.csv"]
    assert files[0].content_hash != files[1].content_hash
    assert files[0].size == 1


@pytest.mark.parametrize(
    "name", [".a.csv", "a.csv.tmp", "a.part", "a.partial", "a.crdownload", "a.csv~", "A.TMP"]
)
def test_unfinished_names_are_ignored(landing, name):
    before = landing.fingerprint("events")
    put(landing, name)
    scan = landing.scan("events")
    assert (scan.ready, scan.unfinished) == ([], [])
    assert landing.fingerprint("events") == before


@pytest.mark.skipif(sys.platform != "linux", reason="leases are Linux's")
def test_a_file_that_is_open_for_writing_is_left_however_old(landing):
    path = put(landing, "a.csv")
    os.utime(path, (1, 1))
    with path.open("a"):
        scan = landing.scan("events")
        assert (scan.ready, scan.unfinished) == ([], ["a.csv"])
        assert scan.fingerprint == INCOMPLETE
    gc.collect()
    scan = landing.scan("events")
    assert [file.name for file in scan.ready] == ["a.csv"]
    assert scan.fingerprint == landing.fingerprint("events")


def test_a_file_that_grows_meanwhile_is_left(landing, monkeypatch):
    path = put(landing, "a.csv")
    put(landing, "b.csv")
    monkeypatch.setattr(time, "sleep", lambda _: path.write_text("longer"))
    scan = Landing(root=landing.root, settle_seconds=60).scan("events")
    assert [file.name for file in scan.ready] == ["b.csv"]
    assert scan.unfinished == ["a.csv"]


def test_the_fingerprint_follows_names_sizes_and_times(landing):
    seen = {landing.fingerprint("events")}
    path = put(landing, "a.csv")
    seen.add(landing.fingerprint("events"))
    path.write_text("xy")
    seen.add(landing.fingerprint("events"))
    os.utime(path, (1, 1))
    seen.add(landing.fingerprint("events"))
    path.rename(path.with_name("b.csv"))
    seen.add(landing.fingerprint("events"))
    assert len(seen) == 5
    assert landing.fingerprint("events") in seen


def test_a_file_knows_when_it_was_rewritten(landing):
    path = put(landing, "a.csv")
    file = landing.ready_files("events")[0]
    assert file.is_unchanged()
    path.write_text("other")
    assert not file.is_unchanged()
    path.unlink()
    assert not file.is_unchanged()
