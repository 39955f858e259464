"""A backup restores the same files; a bad archive writes nothing."""

import io
import sqlite3
import subprocess
import sys
import tarfile

import duckdb
import pytest

from llmrec_assets.layout import Layout
from llmrec_assets.operations.backup import ASIDE, BadArchive, backup, restore


@pytest.fixture
def archive(root, tmp_path):
    duckdb.connect(str(root.warehouse)).close()
    (root.landing_events / "events.csv").write_text("user_id\n")
    with sqlite3.connect(root.mlflow_database) as connection:
        connection.execute("create table runs as select 1 as n")
    root.mlflow_database.chmod(0o600)
    (root.root / ".mlflow.db.lock").touch()
    target = tmp_path / "backup.tar.gz"
    assert backup(root, target) == 3
    return target


def test_what_comes_back_is_what_was(root, archive, tmp_path):
    copy = Layout(tmp_path / "copy")
    assert restore(copy, archive) == 3
    for name in ("llmrec.duckdb", "landing/events/events.csv"):
        assert (copy.root / name).read_bytes() == (root.root / name).read_bytes()
    with sqlite3.connect(copy.mlflow_database) as connection:
        assert connection.execute("select n from runs").fetchall() == [(1,)]
    assert copy.mlflow_database.stat().st_mode & 0o777 == 0o600
    assert archive.stat().st_mode & 0o077 == 0


def test_a_store_is_never_written_over(root, archive):
    with pytest.raises(BadArchive, match="is not empty"):
        restore(root, archive)


def test_a_cut_archive_and_a_foreign_one_write_nothing(archive, tmp_path):
    copy = Layout(tmp_path / "copy")
    archive.write_bytes(archive.read_bytes()[:-200])
    with pytest.raises(BadArchive, match="cannot be restored"):
        restore(copy, archive)
    with tarfile.open(archive, "w:gz") as made:
        made.addfile(tarfile.TarInfo("other.txt"), io.BytesIO())
    with pytest.raises(BadArchive, match="no backup of a store"):
        restore(copy, archive)
    assert not copy.root.exists()


def test_no_name_leads_outside(archive, tmp_path):
    with tarfile.open(archive, "w:gz") as made:
        made.addfile(tarfile.TarInfo("llmrec.duckdb"), io.BytesIO())
        made.addfile(tarfile.TarInfo("../outside.txt"), io.BytesIO())
    with pytest.raises(BadArchive, match="cannot be restored"):
        restore(Layout(tmp_path / "copy"), archive)
    assert not (tmp_path / "outside.txt").exists()


def member(name, kind=tarfile.REGTYPE, target=""):
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, target
    return made


@pytest.mark.parametrize(
    "foreign",
    [
        member("/tmp/outside.txt"),
        member("serving/../../outside.txt"),
        member("link", tarfile.SYMTYPE, "/etc/passwd"),
        member("link", tarfile.SYMTYPE, "llmrec.duckdb"),
        member("hard", tarfile.LNKTYPE, "llmrec.duckdb"),
        member("null", tarfile.CHRTYPE),
        member("pipe", tarfile.FIFOTYPE),
    ],
)
def test_links_devices_and_paths_are_refused_before_anything_is_written(archive, tmp_path, foreign):
    with tarfile.open(archive, "w:gz") as made:
        made.addfile(tarfile.TarInfo("llmrec.duckdb"), io.BytesIO())
        made.addfile(foreign)
    copy = Layout(tmp_path / "copy")
    with pytest.raises(BadArchive, match="cannot be restored"):
        restore(copy, archive)
    assert not copy.root.exists()


def test_a_byte_that_changed_is_found_wherever_it_matters(root, archive, tmp_path):
    raw, refused = archive.read_bytes(), 0
    for place in range(0, len(raw), len(raw) // 25):
        archive.write_bytes(raw[:place] + bytes([raw[place] ^ 4]) + raw[place + 1 :])
        copy = Layout(tmp_path / f"copy{place}")
        try:
            restore(copy, archive)  # a clock or a name in gzip's own header may be another
        except BadArchive:
            refused += 1
            assert not copy.root.exists() or not any(copy.root.iterdir())
        else:
            assert copy.warehouse.read_bytes() == root.warehouse.read_bytes()
    assert refused > 20


def test_a_member_that_was_packed_anew_with_other_content_is_found(archive, tmp_path):
    with tarfile.open(archive) as made:
        parts = [(m, made.extractfile(m).read()) for m in made.getmembers()]
    with tarfile.open(archive, "w:gz") as made:
        for part, content in parts:
            if part.name == "landing/events/events.csv":
                content = content.upper()
            made.addfile(part, io.BytesIO(content))
    copy = Layout(tmp_path / "copy")
    with pytest.raises(BadArchive, match=r"was changed since it was made: .*events\.csv"):
        restore(copy, archive)
    assert list(copy.root.iterdir()) == []


def test_a_restore_that_was_cut_short_is_begun_anew(archive, tmp_path):
    copy = Layout(tmp_path / "copy")
    (copy.root / ASIDE / "landing").mkdir(parents=True)
    assert restore(copy, archive) == 3
    assert copy.warehouse.is_file()
    assert not (copy.root / ASIDE).exists()


def test_a_backup_is_not_kept_in_what_it_backs_up(root, archive):
    with pytest.raises(BadArchive, match="lies in the store"):
        backup(root, root.root / "backup.tar.gz")
    assert not (root.root / "backup.tar.gz").exists()


def test_what_a_killed_process_committed_is_in_the_backup(root, tmp_path):
    code = (
        "import duckdb, os, sys; c = duckdb.connect(sys.argv[1]);"
        "c.execute('create table kept as select 7 as n'); os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", code, str(root.warehouse)], check=False)
    assert root.warehouse.with_name(f"{root.warehouse.name}.wal").exists()
    backup(root, tmp_path / "b.tar.gz")
    copy = Layout(tmp_path / "copy")
    restore(copy, tmp_path / "b.tar.gz")
    with duckdb.connect(str(copy.warehouse)) as connection:
        assert connection.execute("select n from kept").fetchall() == [(7,)]
