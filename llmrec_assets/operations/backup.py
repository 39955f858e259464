"""A store as one archive, and back."""

import os
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import duckdb

from llmrec_assets.layout import Layout

_SQLITE = b"SQLite format 3"
_LEFT_OUT = (".lock", ".wal", "-wal", "-shm", "-journal")


class BadArchive(ValueError):
    """An archive that is not a whole backup, or that would write outside the store."""


def backup(layout: Layout, target: Path) -> int:
    """Write all files of a store that nothing works on to `target` (.tar.gz); how many.

    Databases of SQLite are copied as such. The archive appears whole or not at all, for its owner
    alone.

    Raises:
        BadArchive: `target` lies in the store.
    """
    if target.resolve().is_relative_to(layout.root):
        raise BadArchive(f"{target} lies in the store: name a place outside of {layout.root}")
    duckdb.connect(str(layout.warehouse)).close()  # what a killed process left in its log
    partial = target.with_name(f".{target.name}")
    partial.unlink(missing_ok=True)
    count, handle = 0, os.open(partial, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    with (
        os.fdopen(handle, "wb") as file,
        tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as archive,
    ):
        for path in _files(layout):
            with _stable(path) as stable:
                archive.add(stable, arcname=str(path.relative_to(layout.root)))
            count += 1
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(target)
    return count


def restore(layout: Layout, source: Path) -> int:
    """Make a store, whose root must be empty or missing, from a backup; how many files.

    Raises:
        BadArchive: the root has files, the archive is cut, or a name leads outside the root.
    """
    if layout.root.exists() and any(layout.root.iterdir()):
        raise BadArchive(f"{layout.root} is not empty: restore into a new root (LLMREC_DATA_DIR)")
    try:
        with tarfile.open(source, "r:gz") as archive:
            members = archive.getmembers()  # read to the end first: a cut archive writes nothing
            if not any(member.name == "llmrec.duckdb" for member in members):
                raise BadArchive(f"{source} is no backup of a store: it has no llmrec.duckdb")
            layout.root.mkdir(parents=True, exist_ok=True)
            archive.extractall(layout.root, filter="data")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise BadArchive(f"{source} cannot be restored ({error})") from error
    return len(members)


def _files(layout: Layout) -> Iterator[Path]:
    for path in sorted(layout.root.rglob("*")):
        if path.is_file() and not path.is_symlink() and not path.name.endswith(_LEFT_OUT):
            yield path


@contextmanager
def _stable(path: Path) -> Iterator[Path]:
    """The file, or of an SQLite database a copy that is whole."""
    with path.open("rb") as file:
        is_database = file.read(len(_SQLITE)) == _SQLITE
    if not is_database:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        with (
            closing(sqlite3.connect(path)) as source,
            closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
        yield copy
