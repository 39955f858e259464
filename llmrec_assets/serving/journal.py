"""Feedback on disk before it is acknowledged: one sync for all who wait.

One thread writes. It takes every batch that waits, writes them in one go, syncs once and only then
answers. Nothing is dropped: who finds too much waiting, or a disk that fails, is told to come
again.
"""

import asyncio
import hashlib
import json
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from llmrec_assets.serving import logs, segments
from llmrec_assets.serving.segments import Segment

Kind = Literal["events", "feedback", "lists"]
_MOST_AT_ONCE = 256  # batches a sync


class Busy(Exception):
    """Not all was kept; the client should send the same again, whose ids count once."""


class Conflict(Exception):
    """An id came before with other content; nothing of the batch was kept."""


@dataclass(frozen=True)
class Record:
    """One line to be, of one kind, with the id by which it is known."""

    kind: Kind
    identity: str
    content: Mapping[str, Any]

    @property
    def key(self) -> tuple[Kind, str]:
        """By which it is known."""
        return self.kind, self.identity

    @property
    def line(self) -> bytes:
        """As it is written."""
        text = json.dumps(self.content, ensure_ascii=False, separators=(",", ":"))
        return text.encode() + b"\n"


@dataclass(frozen=True)
class Receipt:
    """What became of a batch, apart from the lists that it names."""

    fresh: list[Record]  # that were not known before
    duplicates: int
    names: Mapping[Kind, str]  # of the segments that hold it


@dataclass(frozen=True)
class _Batch:
    records: list[Record]
    lists: list[Record]
    done: "Future[Receipt]" = field(default_factory=Future)


class Known:
    """Ids of late, with a hash of what came under them; the oldest are forgotten."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._hashes: OrderedDict[tuple[Kind, str], bytes] = OrderedDict()

    def split(self, records: Iterable[Record]) -> list[Record]:
        """The records that are new, each once.

        Raises:
            Conflict: an id is known with other content.
        """
        fresh: dict[tuple[Kind, str], bytes] = {}
        found = []
        for record in records:
            key, digest = record.key, _digest(record)
            known = self._hashes.get(key) or fresh.get(key)
            if known is None:
                fresh[key] = digest
                found.append(record)
            elif known != digest and record.kind != "lists":  # what was shown first stands
                name = "event_id" if record.kind == "events" else "feedback_id"
                raise Conflict(f"{name} of one of the batch came before with other content")
        return found

    def remember(self, records: Iterable[Record]) -> None:
        """Keep the ids of records that are on disk."""
        for record in records:
            self._hashes[record.key] = _digest(record)
        while len(self._hashes) > self.most:
            self._hashes.popitem(last=False)


def _digest(record: Record) -> bytes:
    return hashlib.sha256(record.line).digest()[:16]


class Journal:
    """The open segments of each kind, and the thread that writes them."""

    def __init__(
        self,
        folders: Mapping[Kind, Path],
        close_after: float = 30.0,
        close_at: int = 8 << 20,
        most_waiting: int = 1_000,
        remembered: int = 200_000,
    ) -> None:
        """Segments close after that many seconds or bytes; kinds are written in their order."""
        self.folders, self.close_after, self.close_at = folders, close_after, close_at
        self.known = Known(remembered)
        self._open: dict[Kind, tuple[Segment, float]] = {}
        self._waiting: queue.Queue[_Batch | None] = queue.Queue(most_waiting)
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)

    def recover(self) -> None:
        """Publish what a dead process left open; call before `start`."""
        for kind, folder in self.folders.items():
            folder.mkdir(parents=True, exist_ok=True)
            if found := segments.recover(folder):
                logs.say("recovered open segments", kind=kind, files=found)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, close the segments and give them their names."""
        if self._thread.is_alive():
            self._waiting.put(None)
            self._thread.join()

    async def keep(self, records: list[Record], lists: Iterable[Record] = ()) -> Receipt:
        """Wait until the records, and the lists that they name, are on disk.

        Raises:
            Busy: not all was kept.
            Conflict: nothing was kept.
        """
        batch = _Batch(records, list(lists))
        try:
            self._waiting.put_nowait(batch)
        except queue.Full as error:
            raise Busy("too much feedback waits for the disk") from error
        # A client that leaves must not cancel what is being written.
        return await asyncio.shield(asyncio.wrap_future(batch.done))

    def _run(self) -> None:
        while True:
            batches, stopping = self._next()
            if batches:
                self._write(batches)
            self._close_old(everything=stopping)
            if stopping:
                return

    def _next(self) -> tuple[list[_Batch], bool]:
        """What waits, after waiting for some; and whether to stop."""
        try:
            first = self._waiting.get(timeout=min(1.0, self.close_after / 4))
        except queue.Empty:
            return [], False
        batches: list[_Batch] = []
        while first is not None:
            batches.append(first)
            if self._waiting.empty() or len(batches) == _MOST_AT_ONCE:
                return batches, False
            first = self._waiting.get_nowait()
        return batches, True

    def _write(self, batches: list[_Batch]) -> None:
        """One sync a kind for all batches; each is answered with what became of it."""
        admitted: list[tuple[_Batch, list[Record]]] = []
        pending = Known(1 << 62)
        for batch in batches:
            try:
                fresh = pending.split(self.known.split([*batch.lists, *batch.records]))
                pending.remember(fresh)
                admitted.append((batch, fresh))
            except Conflict as conflict:
                batch.done.set_exception(conflict)
        try:
            names = self._append([record for _, fresh in admitted for record in fresh])
        except Exception as error:  # who waits is answered, and the thread goes on
            logs.warn("feedback cannot be written", error=logs.place_of(error))
            for batch, _ in admitted:
                batch.done.set_exception(Busy("the disk does not take feedback"))
            return
        for batch, fresh in admitted:
            self.known.remember(fresh)
            told = [record for record in fresh if record.kind != "lists"]
            batch.done.set_result(Receipt(told, len(batch.records) - len(told), names))

    def _append(self, records: list[Record]) -> dict[Kind, str]:
        names: dict[Kind, str] = {}
        for kind in self.folders:
            lines = b"".join(record.line for record in records if record.kind == kind)
            if not lines:
                continue
            try:
                names[kind] = self._segment(kind).name
                self._open[kind][0].append(lines)
            except OSError:
                self._abandon(kind)
                raise
        return names

    def _segment(self, kind: Kind) -> Segment:
        if kind not in self._open:
            self._open[kind] = (Segment(self.folders[kind]), time.monotonic())
        return self._open[kind][0]

    def _abandon(self, kind: Kind) -> None:
        """After a failed sync nothing more is written to a file: what it holds was synced."""
        if segment := self._open.pop(kind, None):
            self._close(kind, segment[0])

    def _close_old(self, everything: bool) -> None:
        for kind, (segment, opened) in list(self._open.items()):
            old = time.monotonic() - opened >= self.close_after
            if everything or old or segment.size >= self.close_at:
                del self._open[kind]
                self._close(kind, segment)

    def _close(self, kind: Kind, segment: Segment) -> None:
        try:
            if path := segment.close():
                logs.say("closed a segment", kind=kind, file=path.name, bytes=segment.size)
        except OSError as error:  # it stays hidden and whole; the next start publishes it
            logs.warn("a segment cannot be closed", kind=kind, error=str(error))
