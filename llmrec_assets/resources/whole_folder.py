"""Folders that are made once: whole and as they were made, or not there at all."""

import fcntl
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

HASHES = "sha256.json"  # file → sha256, in the folder


def make_folder_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Let `make` fill `folder` under a hidden name where it is missing or its files have changed.

    Processes that come together wait for the first of them.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f".{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _is_whole(folder):
            return folder
        partial = folder.with_name(f".{folder.name}.new")
        for leftover in (partial, folder):
            if leftover.exists():
                shutil.rmtree(leftover)
        partial.mkdir()
        try:
            make(partial)
            (partial / HASHES).write_text(json.dumps(_hashes(partial), indent=2), encoding="utf-8")
            partial.rename(folder)
        finally:
            if partial.exists():
                shutil.rmtree(partial)
    return folder


def _is_whole(folder: Path) -> bool:
    noted = folder / HASHES
    return noted.is_file() and json.loads(noted.read_text(encoding="utf-8")) == _hashes(folder)


def _hashes(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path != folder / HASHES:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            found[path.relative_to(folder).as_posix()] = digest
    return found
