"""A failure is told with the files it is about and what to do."""

import os
import shutil
import sqlite3
import subprocess
import sys

import pytest

from llmrec_assets.operations.trouble import explain
from llmrec_assets.resources.sqlite_files import broken

AS_A_USER = """
import sys
from pathlib import Path
from llmrec_assets.layout import Layout
from llmrec_assets.operations.trouble import explain
from llmrec_assets_tests.chaos.machine import obey_permissions

obey_permissions()
print(explain(Layout(Path(sys.argv[1])), ["OperationalError"], ["unable to open database file"]))
"""


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


@pytest.mark.parametrize("mode", [0o000, 0o400, 0o555])
def test_a_closed_folder_of_databases_is_named(root, mode):
    folder = root.dagster_home / "history"
    (folder / "runs").mkdir(parents=True)
    (folder / "runs.db").write_bytes(b"")
    folder.chmod(mode)
    command = [sys.executable, "-c", AS_A_USER, str(root.root)]
    try:
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    finally:
        folder.chmod(0o755)
    assert f"closed to this user: {folder}" in said
    assert "→" in said


def test_an_error_with_its_remedy_and_an_unknown_one_get_no_other(root):
    assert explain(root, ["DamagedFile"], ["a.npy has changed → make it anew"]) == ""
    assert explain(root, ["ZeroDivisionError"], ["division by zero"]) == ""
