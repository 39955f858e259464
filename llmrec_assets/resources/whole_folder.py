"""Folders that are made once: whole and as they were made, or not there at all."""

import fcntl
import json
import shutil
from collections.abc import Callable
from pathlib import Path

from llmrec_assets.resources.checksums import HASHES, hashes_of, seal_folder


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
            seal_folder(partial)
            partial.rename(folder)
        finally:
            if partial.exists():
                shutil.rmtree(partial)
    return folder


def _is_whole(folder: Path) -> bool:
    noted = folder / HASHES
    if not noted.is_file():
        return False
    try:
        return json.loads(noted.read_text(encoding="utf-8")) == hashes_of(folder)
    except ValueError:  # the list itself is damaged
        return False
