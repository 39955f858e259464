"""Messages between the service and the process that ranks for it, over a socket pair of their own.

A message is a pickled object behind its length, as `multiprocessing` sends them: both ends are this
code, the pair is made before the process starts, and neither file nor network is read this way.
"""

import asyncio
import pickle
import socket
import struct
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
    """The message as it is sent."""
    body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(body)) + body


async def read(stream: asyncio.StreamReader) -> Any:  # noqa: ANN401 - what the other side sends
    """The next message.

    Raises:
        asyncio.IncompleteReadError: the other side has ended.
        OSError: the connection broke.
    """
    (length,) = _LENGTH.unpack(await stream.readexactly(_LENGTH.size))
    return pickle.loads(await stream.readexactly(length))


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
            self._messages.append(pickle.loads(self._bytes[_LENGTH.size : end]))
            del self._bytes[:end]
        return bool(read)
