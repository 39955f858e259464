"""The landing folders: which files are there, whole, and what they contain by hash."""

import errno
import hashlib
import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import dagster as dg
from pydantic import Field

from llmrec_assets.layout import Layout

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

Kind = Literal["events", "items", "feedback", "lists"]
UNFINISHED_ENDINGS = (".tmp", ".part", ".partial", ".crdownload", "~")
INCOMPLETE = "incomplete"


@dataclass(frozen=True)
class LandingFile:
    """One whole file."""

    path: Path
    name: str
    content_hash: str
    size: int
    modified_ns: int

    def is_unchanged(self) -> bool:
        """Whether the file is still the one that was hashed."""
        return _mark(self.path) == (self.size, self.modified_ns)


@dataclass(frozen=True)
class LandingScan:
    """What a folder held. `fingerprint` was taken before the files were listed."""

    ready: list[LandingFile] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    fingerprint: str = INCOMPLETE


class Landing(dg.ConfigurableResource):
    """The folders of a data root's landing zone; one that is not there is empty."""

    root: str = Field(description="The data root, the folder that holds landing/.")
    settle_seconds: float = Field(
        default=1.0, description="A file younger than this is looked at twice."
    )

    @property
    def layout(self) -> Layout:
        """Of the data root."""
        return Layout(Path(self.root))

    def folder(self, kind: Kind) -> Path:
        """The folder of one kind of files."""
        folders = {
            "events": self.layout.landing_events,
            "items": self.layout.landing_items,
            "feedback": self.layout.landing_feedback,
            "lists": self.layout.landing_lists,
        }
        return folders[kind]

    def fingerprint(self, *kinds: Kind) -> str:
        """A hash of names, sizes and times: it changes when files come, go or change."""
        marks = [(kind, path.name, _mark(path)) for kind in kinds for path in self._paths(kind)]
        return hashlib.sha256(repr(sorted(marks, key=repr)).encode()).hexdigest()

    def has_files(self, *kinds: Kind) -> bool:
        """Whether any of the folders holds a file that is not on its way."""
        return any(self._paths(kind) for kind in kinds)

    def ready_files(self, kind: Kind) -> list[LandingFile]:
        """The whole files in the order of their names."""
        return self.scan(kind).ready

    def scan(self, kind: Kind) -> LandingScan:
        """Look at a folder once. A file that is still being written is left for later.

        The fingerprint is `incomplete` where files were left: their writer may close them
        without another change, and a sensor that compares must not take them for read.
        """
        fingerprint = self.fingerprint(kind)
        paths = self._paths(kind)
        marks = {path: _mark(path) for path in paths}
        newest = max((mark[1] for mark in marks.values() if mark), default=0)
        if time.time() - newest / 1e9 < self.settle_seconds:
            time.sleep(self.settle_seconds)
        ready, unfinished = [], []
        for path in paths:
            mark = _mark(path)
            if mark is None:
                continue  # taken away meanwhile
            try:
                if mark != marks[path] or _is_open_for_writing(path):
                    unfinished.append(path.name)
                    continue
                file = LandingFile(path, path.name, _sha256(path), *mark)
            except OSError as error:  # no permission, or taken away: the others go on
                unfinished.append(f"{path.name} ({error.strerror})")
                continue
            if file.is_unchanged():
                ready.append(file)
            else:
                unfinished.append(path.name)
        return LandingScan(ready, unfinished, INCOMPLETE if unfinished else fingerprint)

    def _paths(self, kind: Kind) -> list[Path]:
        folder = self.folder(kind)
        if not folder.is_dir():
            return []
        return sorted(
            path
            for path in folder.iterdir()
            if not path.name.startswith(".")
            and not path.name.lower().endswith(UNFINISHED_ENDINGS)
            and path.is_file()
        )


def _mark(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_size, found.st_mtime_ns


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_open_for_writing(path: Path) -> bool:
    """Whether a process has the file open for writing; False where that cannot be known."""
    if fcntl is None or not hasattr(fcntl, "F_SETLEASE") or not hasattr(fcntl, "F_SETSIG"):
        return False
    descriptor = os.open(path, os.O_RDONLY)
    try:
        # A writer that opens the file now would end this process by SIGIO; SIGURG is ignored.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    finally:
        os.close(descriptor)
    return False
