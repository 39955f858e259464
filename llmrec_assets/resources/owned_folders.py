"""Folders that are there while the process that made them works, and go after it was killed.

A process holds a lock on a file in its folder. The kernel frees that of a dead one, whatever killed
it, so that anybody who comes later can tell what was left and remove it.
"""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SCRATCH_PREFIX = "llmrec-files-"  # of folders among temporary files
OWNER = ".owner"  # the locked file
UNLOCKED_SECONDS = 60  # what its maker has not locked by then was left by a killed one
RAY_PREFIX = "llmrec-r-"  # of the folder of a cluster of this machine, among temporary files


@contextmanager
def owned_folder(parent: Path, prefix: str = "") -> Iterator[Path]:
    """A new folder for this process, without those that killed ones left; it goes in the end."""
    parent.mkdir(parents=True, exist_ok=True)
    remove_abandoned(parent, prefix)
    # It gets a name that anybody looks at once it is locked.
    hidden = Path(tempfile.mkdtemp(prefix=f".{prefix}", dir=parent))
    with (hidden / OWNER).open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        folder = hidden.rename(hidden.with_name(hidden.name[1:]))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """An empty folder among temporary files; one that a killed process left goes with the next."""
    with owned_folder(Path(tempfile.gettempdir()), SCRATCH_PREFIX) as owned:
        folder = owned / "files"  # beside the file that is locked
        folder.mkdir()
        yield folder


def remove_abandoned(parent: Path, prefix: str = "") -> None:
    """Remove what lies below `parent` under such a name and nobody holds.

    A hidden folder has no lock for a moment after it was made: only an old one was left.
    """
    for path in list(parent.iterdir()) if parent.is_dir() else ():
        if not path.name.removeprefix(".").startswith(prefix):
            continue
        # Before the lock is tried: that would keep the maker of a new one from taking it.
        if path.name.startswith(".") and _age(path) < UNLOCKED_SECONDS:
            continue
        if not _is_abandoned(path):
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(
                path, ignore_errors=True
            )  # what dying tasks still write, the next removes
        else:
            path.unlink(missing_ok=True)


def remove_left(tasks: Path) -> None:
    """Remove what killed drivers left: files that tasks exchanged, and those of Ray itself."""
    remove_abandoned(tasks)
    remove_abandoned(Path(tempfile.gettempdir()), RAY_PREFIX)


def _age(path: Path) -> float:
    """Seconds since it was made or changed; none where it has just gone."""
    try:
        return time.time() - path.lstat().st_mtime
    except FileNotFoundError:
        return 0.0


def _is_abandoned(path: Path) -> bool:
    """Whether it is this user's, and no living process's."""
    try:
        if path.lstat().st_uid != os.getuid():
            return False
        with (path / OWNER).open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (FileNotFoundError, NotADirectoryError):  # nobody locked it
        return True
    return True
