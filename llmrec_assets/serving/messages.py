"""Messages between the service and the process that ranks for it, over a socket pair of their own.

A message is its length and then JSON: the name of what it is, and its fields. Numbers come through
as they are, not-a-number included, so a list is the same on both sides.
"""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic_core import from_json, to_json

from llmrec_assets.core.lists import ListSettings
from llmrec_assets.core.new_events import NewEvent
from llmrec_assets.core.reranking import Reranking
from llmrec_assets.serving.model import Slots
from llmrec_assets.serving.ranking import Job

_LENGTH = struct.Struct("!I")
_CHUNK = 1 << 18


@dataclass(frozen=True)
class Ready:
    """The package may serve."""

    quick: bool  # by the quicker scorer


@dataclass(frozen=True)
class Refusal:
    """It must not; why."""

    reason: str


@dataclass(frozen=True)
class Asked:
    """A job and until when it is worth anything."""

    number: int
    job: Job
    deadline: float  # of time.monotonic, which is one for all processes


@dataclass(frozen=True)
class Ranked:
    """What became of jobs that were taken together."""

    slots: Sequence[tuple[int, Slots | None]]  # by number; None: too late, or an error
    size: int  # how many were ranked
    cost: float  # seconds a list takes, of late


def packed(message: object) -> bytes:
    """The message as it is sent.

    Raises:
        PydanticSerializationError: it holds what JSON and NumPy cannot tell.
    """
    told = [type(message).__name__, message]
    body = to_json(told, inf_nan_mode="constants", fallback=lambda value: value.tolist())
    return _LENGTH.pack(len(body)) + body


def unpacked(body: bytes | bytearray) -> Any:  # noqa: ANN401 - what the other side sends
    """The message of a body that `packed` made, which follows its length.

    Raises:
        ValueError, KeyError, TypeError: it is no such body.
    """
    kind, fields = from_json(body)
    return _MADE[kind](**fields)


def _asked(number: int, job: dict[str, Any], deadline: float) -> Asked:
    return Asked(number, _job(**job), deadline)


def _job(
    new: list[dict[str, Any]],
    settings: dict[str, Any],
    hidden: list[int],
    filters: list[Any],
    reranking: dict[str, Any],
    **plain: Any,  # noqa: ANN401 - numbers and texts as they are
) -> Job:
    categories, least, most = filters
    never, always = frozenset(reranking.pop("never")), frozenset(reranking.pop("always"))
    return Job(
        new=[NewEvent(**event) for event in new],
        settings=ListSettings(**settings),
        hidden=np.array(hidden, dtype=np.int64),
        filters=(tuple(categories), least, most),
        reranking=Reranking(**reranking, never=never, always=always),
        **plain,
    )


def _ranked(slots: list[tuple[int, dict[str, Any] | None]], size: int, cost: float) -> Ranked:
    made = [(number, None if told is None else _slots(**told)) for number, told in slots]
    return Ranked(made, size, cost)


def _slots(codes: list[int], sources: list[str], **numbers: list[float]) -> Slots:
    return Slots(
        codes=np.array(codes, dtype=np.int64),
        sources=np.array(sources, dtype=object),
        **{name: np.array(values, dtype=np.float64) for name, values in numbers.items()},
    )


_MADE: dict[str, Callable[..., Any]] = {
    "Ready": Ready, "Refusal": Refusal, "Asked": _asked, "Ranked": _ranked,
}  # fmt: skip


async def read(stream: asyncio.StreamReader) -> Any:  # noqa: ANN401 - what the other side sends
    """The next message.

    Raises:
        asyncio.IncompleteReadError: the other side has ended.
        OSError: the connection broke.
    """
    (length,) = _LENGTH.unpack(await stream.readexactly(_LENGTH.size))
    return unpacked(await stream.readexactly(length))


class Frames:
    """The side that waits for messages and does nothing else."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket, self._bytes = connected, bytearray()
        self._messages: deque[Any] = deque()
        self._ended = False

    def send(self, message: object) -> None:
        """Send a message, waiting until the other side takes it.

        Raises:
            OSError: the other side has ended.
        """
        self._socket.sendall(packed(message))

    def take(self, most: int) -> list[Any]:
        """The messages that are there, at most `most`, after waiting for one; none at the end."""
        while not self._messages and not self._ended:
            self._receive(wait=True)
        while len(self._messages) < most and not self._ended and self._receive(wait=False):
            pass
        return [self._messages.popleft() for _ in range(min(most, len(self._messages)))]

    def _receive(self, wait: bool) -> bool:
        """Read what is there; whether anything was."""
        try:
            read = self._socket.recv(_CHUNK, 0 if wait else socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        self._ended = not read
        self._bytes += read
        while len(self._bytes) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._bytes)[0]
            if len(self._bytes) < end:
                break
            self._messages.append(unpacked(self._bytes[_LENGTH.size : end]))
            del self._bytes[:end]
        return bool(read)
