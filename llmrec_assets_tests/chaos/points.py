"""Where a run touches what must last, counted or used to die at: run in the command's process."""

import json
import os
import signal
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmrec_assets.layout import Layout

KINDS = ("rename", "open", "remove", "begin", "commit", "committed", "logged")
_EVENTS = {"os.rename": "rename", "os.remove": "remove", "open": "open"}
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


@dataclass(frozen=True)
class Point:
    """The n-th time (from 1) that something of a kind is about to happen below a root.

    `committed` is after a commit of DuckDB, `logged` as well where its log is not yet folded into
    the file.
    """

    kind: str
    nth: int


class Watch:
    """Counts the points below a root; kills its own process at one of them."""

    def __init__(self, root: str, die_at: Point | None = None) -> None:
        self.root, self.die_at, self.counts = root, die_at, Counter()

    def install(self) -> None:
        """Watch this process from now on."""
        sys.addaudithook(self._audit)
        from llmrec_assets.resources.warehouse import Warehouse

        opened = Warehouse._open
        Warehouse._open = lambda warehouse: _Watched(opened(warehouse), self)  # pyright: ignore

    def write(self, path: Path) -> None:
        """Keep the counts for who chooses a point."""
        path.write_text(json.dumps(self.counts), encoding="utf-8")

    def note(self, kind: str) -> None:
        """Something of a kind is about to happen."""
        self.counts[kind] += 1
        if self.die_at and self.die_at.kind == kind and self.die_at.nth == self.counts[kind]:
            os.kill(os.getpid(), signal.SIGKILL)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        kind = _EVENTS.get(event)
        if kind is None or not isinstance(arguments[0], str | os.PathLike):
            return
        if kind == "open" and not (isinstance(arguments[2], int) and arguments[2] & _WRITES):
            return
        if os.path.abspath(os.fspath(arguments[0])).startswith(self.root):  # noqa: PTH100
            self.note(kind)


class _Watched:
    """A connection that says when it begins and commits."""

    def __init__(self, connection: Any, watch: Watch) -> None:
        self._connection, self._watch = connection, watch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def begin(self) -> None:
        self._watch.note("begin")
        self._connection.begin()

    def commit(self) -> None:
        self._watch.note("commit")
        self._connection.commit()
        self._watch.note("committed")
        log = Path(f"{Layout(Path(self._watch.root)).warehouse}.wal")
        if log.is_file() and log.stat().st_size:
            self._watch.note("logged")
