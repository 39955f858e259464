"""Database files that are made whole or not at all: a kill while one is made leaves none."""

import fcntl
from collections.abc import Callable
from pathlib import Path


def make_once(path: Path, make: Callable[[Path], None]) -> None:
    """Let `make` write `path` under a hidden name, where it is missing, and move it there.

    `make` closes what it opens. Processes that come together wait for the first of them.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if path.exists():
            return
        partial = path.with_name(f".{path.name}.new")
        for leftover in path.parent.glob(f"{partial.name}*"):
            leftover.unlink()
        make(partial)
        partial.replace(path)
