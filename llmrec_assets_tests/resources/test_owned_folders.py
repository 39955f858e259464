"""What a killed process leaves goes with the next one; what a living one works with stays."""

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from llmrec_assets.assets.shard_steps import fill_by
from llmrec_assets.resources.engine import Engine
from llmrec_assets.resources.owned_folders import (
    OWNER,
    RAY_PREFIX,
    SCRATCH_PREFIX,
    owned_folder,
    remove_abandoned,
    scratch_folder,
)

WORKS = """
import sys, time
from pathlib import Path
from llmrec_assets.resources.owned_folders import owned_folder
with owned_folder(Path(sys.argv[1]), sys.argv[2]) as folder:
    (folder / "part.parquet").write_bytes(b"of a user")
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def start():
    """Start a process that works in a folder of its own; it and the folder."""
    started = []

    def start(parent, prefix=""):
        process = subprocess.Popen(
            [sys.executable, "-c", WORKS, str(parent), prefix], stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        return process, Path(process.stdout.readline().strip())

    yield start
    for process in started:
        process.kill()
        process.communicate()


def kill(process):
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def test_a_folder_goes_with_its_work(tmp_path):
    with owned_folder(tmp_path / "tasks") as folder:
        assert list((tmp_path / "tasks").iterdir()) == [folder]
    with pytest.raises(ZeroDivisionError), owned_folder(tmp_path / "tasks"):
        raise ZeroDivisionError
    assert not list((tmp_path / "tasks").iterdir())


def test_the_next_scratch_folder_removes_what_a_killed_process_left(tmp_path, start, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    process, folder = start(tmp_path, SCRATCH_PREFIX)
    with scratch_folder() as mine:
        assert folder.exists()  # it works there
        assert not list(mine.iterdir())
    kill(process)
    with scratch_folder():
        assert not folder.exists()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_has_no_name_yet_goes_when_it_is_old(tmp_path):
    young, old, others = (tmp_path / name for name in (".mine-1", ".mine-2", ".theirs-1"))
    for folder in (young, old, others):
        folder.mkdir()
    os.utime(old, (0, 0))
    os.utime(others, (0, 0))
    remove_abandoned(tmp_path, "mine-")
    assert sorted(tmp_path.iterdir()) == [young, others]


def test_the_lock_of_a_new_folder_is_left_to_its_maker(tmp_path, monkeypatch):
    (tmp_path / ".mine-1").mkdir()
    (tmp_path / ".mine-1" / OWNER).touch()
    monkeypatch.setattr(fcntl, "flock", lambda *_: pytest.fail("somebody took the lock"))
    remove_abandoned(tmp_path, "mine-")
    assert (tmp_path / ".mine-1" / OWNER).exists()


@pytest.mark.parametrize("kind", ["local", "ray"])
def test_the_next_run_of_any_engine_removes_what_a_killed_one_left(tmp_path, start, kind):
    process, folder = start(tmp_path)
    (tmp_path / "of an older version").write_text("")
    living, theirs = start(tmp_path)
    kill(process)
    assert (folder / "part.parquet").exists()
    fill_by(Engine(kind=kind, folder=str(tmp_path)))
    assert list(tmp_path.iterdir()) == [theirs]
    assert (theirs / "part.parquet").exists()
    assert living.poll() is None


def test_rays_own_folder_goes_too_and_what_others_left_there_stays(tmp_path, start, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    process, folder = start(tmp_path, RAY_PREFIX)
    assert folder.name.startswith(RAY_PREFIX)
    kill(process)
    (others := tmp_path / "others").mkdir()
    fill_by(Engine(folder=str(tmp_path / "tasks")))
    assert list(tmp_path.iterdir()) == [others]


def test_links_are_removed_not_followed(tmp_path):
    (kept := tmp_path / "kept").mkdir()
    (tasks := tmp_path / "tasks").mkdir()
    (tasks / "link").symlink_to(kept)
    remove_abandoned(tasks)
    assert not list(tasks.iterdir())
    assert kept.exists()
