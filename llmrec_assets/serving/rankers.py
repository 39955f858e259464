"""The service's side of a process that ranks: started, asked, and let go."""

import asyncio
import socket
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llmrec_assets.serving import messages
from llmrec_assets.serving.messages import Asked, Ranked, Ready, Refusal
from llmrec_assets.serving.model import Slots
from llmrec_assets.serving.ranking import Job

_LAST_WORDS = 10.0  # seconds in which a process that was let go has to end


class Refused(Exception):
    """A package must not serve; the message says why."""


class Ranker:
    """One process, of one package."""

    def __init__(
        self,
        package: Path,
        process: Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.package, self._process = package, process
        self._reader, self._writer = reader, writer
        self._numbers = 0
        self._asked: dict[int, asyncio.Future[Slots | None]] = {}
        self._heard = 0.0  # of time.monotonic: its last answer, or the first job since
        self.cost = 0.0  # seconds a list takes, of late
        self.quick = False  # ranks by the quicker scorer
        self.let_go = False  # ends because it was asked to

    @classmethod
    async def start(cls, package: Path, canary_users: int, budget: float, gently: bool) -> "Ranker":
        """Start a process that loads and checks a package; `ready` waits for its verdict.

        Args:
            package: its folder.
            canary_users: most users whose lists must be the published ones.
            budget: seconds a list may take.
            gently: whether another package serves meanwhile.
        """
        ours, theirs = socket.socketpair()
        arguments = [theirs.fileno(), package, canary_users, budget, "gently" if gently else "now"]
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "llmrec_assets.serving.ranker", *map(str, arguments),
                pass_fds=(theirs.fileno(),),
            )  # fmt: skip
        return cls(package, process, *await asyncio.open_connection(sock=ours))

    async def ready(self) -> None:
        """Wait until the package is loaded and its lists are the published ones.

        Raises:
            Refused: they are not, or it cannot be used.
        """
        verdict = await self._read()
        if verdict is None:
            raise Refused("the process that was to rank it ended")
        if isinstance(verdict, Refusal):
            raise Refused(verdict.reason)
        assert isinstance(verdict, Ready)
        self.quick = verdict.quick

    @property
    def waiting(self) -> int:
        """Jobs without an answer."""
        return len(self._asked)

    @property
    def silent(self) -> float:
        """Seconds for which it owes an answer."""
        return time.monotonic() - self._heard if self._asked else 0.0

    def ask(self, job: Job, deadline: float) -> "asyncio.Future[Slots | None]":
        """Have a list made; None where `deadline` (of time.monotonic) has passed, or it fails."""
        if not self._asked:
            self._heard = time.monotonic()
        self._numbers += 1
        packed = messages.packed(Asked(self._numbers, job, deadline))
        made = asyncio.get_running_loop().create_future()
        self._asked[self._numbers] = made
        self._writer.write(packed)
        return made

    async def listen(self, measure: Callable[[int], None]) -> None:
        """Hand over what is ranked until the process ends; `measure` is told sizes of batches."""
        while isinstance(told := await self._read(), Ranked):
            self.cost, self._heard = told.cost, time.monotonic()
            measure(told.size)
            for number, slots in told.slots:
                settle(self._asked.pop(number), slots)
        self._writer.close()
        while self._asked:
            settle(self._asked.popitem()[1], None)

    async def end(self) -> None:
        """No more jobs come: the process ends after what it was asked."""
        self.let_go = True
        if not self._writer.is_closing():
            self._writer.write_eof()
        try:
            await asyncio.wait_for(self._process.wait(), _LAST_WORDS)
        except TimeoutError:
            self.kill()
            await self._process.wait()

    def kill(self) -> None:
        """End the process at once, whatever it is doing."""
        if self._process.returncode is None:
            self._process.kill()

    async def _read(self) -> Any:  # noqa: ANN401 - what a message holds
        """The next message; None when the process has ended."""
        try:
            return await messages.read(self._reader)
        except (asyncio.IncompleteReadError, OSError):
            return None


def settle(made: "asyncio.Future[Slots | None]", slots: Slots | None) -> None:
    """Give a list to those who wait for it, unless they have one, or none, already."""
    if not made.done():
        made.set_result(slots)
