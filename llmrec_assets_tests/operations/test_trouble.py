"""A failure is told with the files it is about and what to do."""

import os
import shutil
import sqlite3
import subprocess

import pytest

from llmrec_assets.operations.trouble import explain
from llmrec_assets.resources.sqlite_files import broken


@pytest.fixture
def database(root):
    root.dagster_home.mkdir()
    path = root.dagster_home / "runs.db"
    with sqlite3.connect(path) as connection:
        connection.execute("pragma journal_mode = wal")
        connection.execute("create table runs as select 1 as n")
        connection.executemany("insert into runs values (?)", [(n,) for n in range(5000)])
    connection.close()
    return path


def test_a_broken_database_is_named(root, database):
    assert broken([database]) == {}
    raw = database.read_bytes()
    for content, why in (
        (b"", "is empty"),
        (b"x" * len(raw), "is no SQLite database"),
        (raw[: len(raw) // 2], "cannot be read"),
    ):
        database.write_bytes(content)
        assert broken([database])[database].startswith(why)
        said = explain(root, ["DatabaseError"], ["file is not a database"])
        assert str(database) in said
        assert "→" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk takes root")
def test_on_a_full_disk_no_database_is_called_broken(root, database):
    small = root.root / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        copy = small / "dagster" / "runs.db"
        copy.parent.mkdir()
        shutil.copyfile(database, copy)
        with pytest.raises(OSError, match="No space"):
            (small / "filler").write_bytes(b"0" * (2 << 20))
        assert broken([copy]) == {}
        said = explain(type(root)(small), ["OperationalError"], ["disk I/O error"])
        assert f"0 KB are free in {small}" in said
        assert "backup" not in said
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_an_error_with_its_remedy_and_an_unknown_one_get_no_other(root):
    assert explain(root, ["DamagedFile"], ["a.npy has changed → make it anew"]) == ""
    assert explain(root, ["ZeroDivisionError"], ["division by zero"]) == ""
