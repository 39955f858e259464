"""A store as one archive, and back."""

import gzip
import hashlib
import io
import json
import os
import shutil
import sqlite3
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath

import duckdb

from llmrec_assets.layout import Layout
from llmrec_assets.resources.checksums import HASHES, hashes_of
from llmrec_assets.resources.owned_folders import scratch_folder

_SQLITE = b"SQLite format 3"
WAREHOUSE, ASIDE = "llmrec.duckdb", ".restoring"
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
    handle = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
    hashes: dict[str, str] = {}
    with (
        os.fdopen(handle, "wb") as file,
        tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as archive,
    ):
        for path in _files(layout):
            name = path.relative_to(layout.root).as_posix()
            with _stable(path) as stable, stable.open("rb") as read:
                hashes[name] = hashlib.file_digest(read, "sha256").hexdigest()
                member = archive.gettarinfo(arcname=name, fileobj=read)
                member.mode = path.stat().st_mode & 0o777  # a copy has another
                read.seek(0)
                archive.addfile(member, read)
        _add_hashes(archive, hashes)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(target)
    return len(hashes)


def _add_hashes(archive: tarfile.TarFile, hashes: dict[str, str]) -> None:
    text = json.dumps(hashes, indent=1).encode()
    member = tarfile.TarInfo(HASHES)
    member.size, member.mode = len(text), 0o600
    archive.addfile(member, io.BytesIO(text))


def restore(layout: Layout, source: Path) -> int:
    """Make a store, whose root must be empty or missing, from a backup; how many files.

    Everything is unpacked and compared with the hashes of the archive before any of it is in its
    place; what an earlier restore that was cut short left aside is removed.

    Raises:
        BadArchive: the root has files, the archive is cut or was changed, a member is a link or a
            device, or its name leads outside the root.
    """
    aside = layout.root / ASIDE
    if layout.root.exists() and any(path != aside for path in layout.root.iterdir()):
        raise BadArchive(f"{layout.root} is not empty: restore into a new root (LLMREC_DATA_DIR)")
    try:
        _read_to_the_end(source)
        with tarfile.open(source, "r:gz") as archive:
            members = archive.getmembers()
            _require_plain(source, members)
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(parents=True)
            archive.extractall(aside, filter="data")
        count = _verify(source, aside)
        for path in sorted(aside.iterdir(), key=lambda path: path.name == WAREHOUSE):
            path.rename(layout.root / path.name)  # the warehouse last: it makes a root a store
        aside.rmdir()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise BadArchive(f"{source} cannot be restored ({error})") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return count


def _read_to_the_end(source: Path) -> None:
    """Compare gzip's checksum: tarfile takes a damaged header for the end and reads no further."""
    with gzip.open(source) as file:
        while file.read(1 << 20):
            pass


def _require_plain(source: Path, members: list[tarfile.TarInfo]) -> None:
    """Files and folders below the root alone: no link, no device, no name that leads outside."""
    if not any(member.name == WAREHOUSE for member in members):
        raise BadArchive(f"{source} is no backup of a store: it has no {WAREHOUSE}")
    for member in members:
        path = PurePosixPath(member.name)
        if path.is_absolute() or ".." in path.parts or not (member.isfile() or member.isdir()):
            raise BadArchive(
                f"{source} cannot be restored: {member.name!r} leads outside the root, or is no"
                " plain file; backups of llmrec have no such member"
            )


def _verify(source: Path, folder: Path) -> int:
    """See that the files are those of the archive's list, which goes; how many.

    An older archive has no list.
    """
    noted = folder / HASHES
    if not noted.is_file():
        return sum(path.is_file() for path in folder.rglob("*"))
    hashes = json.loads(noted.read_text(encoding="utf-8"))
    noted.unlink()
    if (found := hashes_of(folder)) != hashes:
        odd = sorted(name for name, _ in found.items() ^ hashes.items())
        raise BadArchive(f"{source} was changed since it was made: {odd[0]} is another")
    return len(hashes)


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
    with scratch_folder() as folder:
        copy = folder / path.name
        with (
            closing(sqlite3.connect(path)) as source,
            closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
        yield copy
