"""SQLite files of other programs, MLflow's and Dagster's: whether they can still be read."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

_HEAD = b"SQLite format 3\0"


def broken(paths: Iterable[Path]) -> dict[Path, str]:
    """Files that are no whole databases → why; an empty one is one that was cut."""
    found = {path: _trouble(path) for path in paths}
    return {path: trouble for path, trouble in found.items() if trouble}


def _trouble(path: Path) -> str:
    try:
        with path.open("rb") as file:
            head = file.read(len(_HEAD))
        if not head:
            return "is empty"
        if head != _HEAD:
            return "is no SQLite database"
        said = _checked(path)
    except (OSError, sqlite3.Error) as error:
        return f"cannot be read ({error})"
    return "" if said == "ok" else f"is damaged ({said.splitlines()[-1]})"


def _checked(path: Path) -> str:
    """What SQLite says; where it has no room for its own files, of the file without its log."""
    for how in ("mode=ro", "immutable=1"):
        try:
            with closing(sqlite3.connect(f"file:{path}?{how}", uri=True)) as connection:
                return connection.execute("pragma quick_check(1)").fetchall()[0][0]
        except sqlite3.OperationalError:
            if how == "immutable=1":
                raise
    raise AssertionError("one of the two ways returns or raises")
