"""Who ranks now: jobs go to a process of its own, and come back in time or not at all."""

import asyncio
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Protocol

from llmrec_assets.serving import logs
from llmrec_assets.serving.model import Slots
from llmrec_assets.serving.rankers import Ranker, Refused, settle
from llmrec_assets.serving.ranking import Job

_LONGEST_SILENCE = 10.0  # seconds after which a process hangs; nothing that it does takes a tenth
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0  # seconds before a process that ended is replaced


class Measures(Protocol):
    """Who is told about batches and processes."""

    def batch(self, size: int) -> None:
        """A batch of `size` was ranked."""
        ...

    def ranker_ended(self) -> None:
        """The process that ranks ended unasked."""
        ...


class Engine:
    """Has lists made by the process of the package that serves.

    A job that is late, finds a long queue, or nobody who ranks, gets None.
    """

    def __init__(self, budget: float, most_waiting: int, measures: Measures) -> None:
        """`budget` in seconds, from `rank` on."""
        self.budget, self.most_waiting, self.measures = budget, most_waiting, measures
        self._ranker: Ranker | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def waiting(self) -> int:
        """Jobs without an answer."""
        return self._ranker.waiting if self._ranker else 0

    async def start(self, package: Path, canary_users: int) -> Ranker:
        """A process that loads the package in this folder; it ranks from `use` on."""
        gently = self._ranker is not None
        return await Ranker.start(package, canary_users, self.budget, gently)

    def use(self, ranker: Ranker) -> None:
        """From now on this one ranks; the one before ends after what it was asked."""
        before, self._ranker = self._ranker, ranker
        self._keep(self._listen(ranker))
        if before is not None:
            self._keep(before.end())

    async def stop(self) -> None:
        """Let what was begun be finished, and end."""
        ranker, self._ranker = self._ranker, None
        if ranker is not None:
            await ranker.end()
        for task in self._tasks:
            task.cancel()

    def rank(self, job: Job) -> "asyncio.Future[Slots | None]":
        """The list; None where the budget was missed, too many wait, or nobody ranks.

        It is asked for at once, so that the job and who ranks are of one package.
        """
        loop, ranker = asyncio.get_running_loop(), self._ranker
        if ranker is not None and ranker.silent > max(_LONGEST_SILENCE, 2 * self.budget):
            ranker.kill()  # another takes its place
        if ranker is None or self._is_late(ranker):
            none: asyncio.Future[Slots | None] = loop.create_future()
            none.set_result(None)
            return none
        made = ranker.ask(job, time.monotonic() + self.budget)
        late = loop.call_later(self.budget, settle, made, None)
        made.add_done_callback(lambda _: late.cancel())
        return made

    def _is_late(self, ranker: Ranker) -> bool:
        """Whether a list would come too late, and those behind it later still."""
        ahead = ranker.waiting
        return ahead > 0 and (ahead >= self.most_waiting or ahead * ranker.cost > self.budget)

    async def _listen(self, ranker: Ranker) -> None:
        """Take what is ranked; put another in the place of a process that ends unasked."""
        await ranker.listen(self.measures.batch)
        if ranker.let_go or ranker is not self._ranker:
            return
        self._ranker = None  # the published lists stand in
        self.measures.ranker_ended()
        logs.warn("the process that ranks ended", package=ranker.package.name)
        pause = _FIRST_PAUSE
        while self._ranker is None:  # a newly published package may be quicker
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            try:
                another = await self.start(ranker.package, 0)  # it was checked when it took over
                await another.ready()
            except (Refused, OSError) as error:  # such as no memory for one more process
                reason = str(error) if isinstance(error, Refused) else type(error).__name__
                logs.warn("it cannot be replaced", package=ranker.package.name, reason=reason)
                continue
            if self._ranker is None:
                self.use(another)
                logs.say("another ranks", package=ranker.package.name)
            else:
                await another.end()

    def _keep(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
