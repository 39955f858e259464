"""Files of feedback on their way into the landing zone.

An open segment has a hidden name, so the pipeline does not see it. It is appended to, synced, and
renamed when it is full or old: a file that the pipeline sees never changes.
"""

import fcntl
import os
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

PREFIX, ENDING = "serve-", ".jsonl"
_STAMP = "%Y%m%dT%H%M%SZ"


class Segment:
    """One open file of JSON Lines. Raises OSError where the disk does not take what is written."""

    def __init__(self, folder: Path) -> None:
        """Create an empty hidden file in `folder`, locked as long as this process lives."""
        folder.mkdir(parents=True, exist_ok=True)
        stamp = datetime.now(UTC).strftime(_STAMP)
        self.name = f"{PREFIX}{stamp}-{secrets.token_hex(4)}{ENDING}"
        self.folder, self.size = folder, 0
        self.path = folder / f".{self.name}"
        self._file = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_APPEND, 0o640)
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        sync_folder(folder)

    def append(self, lines: bytes) -> None:
        """Write whole lines and wait until they are on disk; all of them or none."""
        try:
            left = memoryview(lines)
            while left:
                left = left[os.write(self._file, left) :]
            os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, self.size)
            raise
        self.size += len(lines)

    def close(self) -> Path | None:
        """Give the file its name in the landing zone; None for an empty one, which is removed."""
        try:
            if not self.size:
                self.path.unlink()
                return None
            os.fsync(self._file)
            return _publish(self.path)
        finally:
            os.close(self._file)


def recover(folder: Path) -> list[str]:
    """Publish the segments that a dead process left open, up to their last whole line.

    What was acknowledged ended in a synced line feed, so only what never was is cut. Segments of a
    process that still runs are locked and stay.
    """
    found = []
    for path in sorted(folder.glob(f".{PREFIX}*{ENDING}")) if folder.is_dir() else []:
        file = os.open(path, os.O_RDWR)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(file, _whole(path))
            os.fsync(file)
            if os.fstat(file).st_size:
                found.append(_publish(path).name)
            else:
                path.unlink()
        except BlockingIOError:
            continue
        finally:
            os.close(file)
    return found


def published(folder: Path) -> Iterator[Path]:
    """The closed segments that lie in the folder, oldest first."""
    if folder.is_dir():
        yield from sorted(folder.glob(f"{PREFIX}*{ENDING}"))


def still_open(folder: Path) -> set[str]:
    """Names that the segments which are being written will have."""
    return {path.name[1:] for path in folder.glob(f".{PREFIX}*{ENDING}")}


def opened_before(name: str, moment: datetime) -> bool:
    """Whether the segment of this name was opened in a second before that of `moment`."""
    return name[len(PREFIX) :].split("-")[0] < moment.strftime(_STAMP)


def closed_within(name: str, age: timedelta) -> bool:
    """Whether the segment of this name was opened no longer than `age` ago."""
    try:
        opened = datetime.strptime(name[len(PREFIX) :].split("-")[0], _STAMP)
    except ValueError:  # somebody else's file of such a name
        return False
    return datetime.now(UTC) - opened.replace(tzinfo=UTC) <= age


def _whole(path: Path) -> int:
    """Bytes up to and with the last line feed."""
    return path.read_bytes().rfind(b"\n") + 1


def _publish(path: Path) -> Path:
    target = path.with_name(path.name[1:])
    path.rename(target)
    sync_folder(path.parent)
    return target


def sync_folder(folder: Path) -> None:
    """Wait until names in the folder are on disk."""
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
