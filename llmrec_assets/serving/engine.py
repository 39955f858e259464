"""The thread that ranks: it takes all requests that wait and scores them at once.

A matrix product of several histories costs little more than that of one, so a batch is as large as
the load makes it, up to what half the time budget is enough for, and there is no waiting for one
to fill.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch

from llmrec_assets.core.lists import Hidden, Lists, ListSettings, leave_out, lists_of
from llmrec_assets.core.online import History, assemble, score
from llmrec_assets.core.ranking import NEVER
from llmrec_assets.core.reranking import Reranking, candidates, depth_of
from llmrec_assets.serving import logs
from llmrec_assets.serving.model import Model, Slots
from llmrec_assets.serving.variety import varied

MOST_AT_ONCE = 32
PLAIN = Reranking()  # the model's order


class Measures(Protocol):
    """Who is told about batches."""

    def batch(self, size: int) -> None:
        """A batch of `size` was ranked."""
        ...


@dataclass(frozen=True, eq=False)
class Job:
    """One list to make."""

    model: Model
    history: History
    settings: ListSettings
    allowed: torch.Tensor | None  # bool [V+1]; None = all
    hidden: np.ndarray  # int64 [h], codes
    list_id: str
    reranking: Reranking
    done: "asyncio.Future[Slots | None]" = field(repr=False)


class Engine:
    """Ranks jobs in a thread of its own; a job that is late or finds a long queue gets None."""

    def __init__(self, budget: float, most_waiting: int, measures: Measures) -> None:
        """`budget` in seconds, from `rank` on."""
        self.budget, self.most_waiting, self.measures = budget, most_waiting, measures
        self._waiting: deque[Job] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._cost = 0.0  # seconds a list takes in a batch, of late
        self._running = 0  # lists of the batch at work
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    @property
    def waiting(self) -> int:
        """Jobs that nobody took yet."""
        return len(self._waiting)

    def start(self) -> None:
        """Begin to rank."""
        self._thread.start()

    def stop(self) -> None:
        """Finish what waits and end."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join()

    async def rank(
        self,
        model: Model,
        history: History,
        settings: ListSettings,
        allowed: torch.Tensor | None,
        hidden: np.ndarray,
        list_id: str,
        reranking: Reranking = PLAIN,
    ) -> Slots | None:
        """The list; None where the budget was missed or too many wait."""
        ahead = len(self._waiting) + self._running
        if ahead and (ahead >= self.most_waiting or ahead * self._cost > self.budget):
            return None  # it would come too late, and those behind it later still
        if self._stopping:
            return None
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        job = Job(model, history, settings, allowed, hidden, list_id, reranking, done)
        with self._changed:
            self._waiting.append(job)
            self._changed.notify()
        late = loop.call_later(self.budget, _settle, ((job, None),))
        try:
            return await job.done
        finally:
            late.cancel()

    def _run(self) -> None:
        while jobs := self._next():
            for group in _by_model([job for job in jobs if not job.done.done()]):
                self._rank(group)
            self._running = 0

    def _rank(self, group: list[Job]) -> None:
        started = time.perf_counter()
        made: Sequence[Slots | None]
        try:
            made = rank(group)
        except Exception as error:  # the lists fall back, the cause is told
            logs.warn("a batch cannot be ranked", error=logs.place_of(error))
            made = [None] * len(group)
        cost = (time.perf_counter() - started) / len(group)
        self._cost += (cost - self._cost) * (0.1 if self._cost else 1.0)
        self.measures.batch(len(group))
        results = list(zip(group, made, strict=True))
        group[0].done.get_loop().call_soon_threadsafe(_settle, results)

    def _next(self) -> list[Job]:
        """What waits, after waiting for some; nothing at the end."""
        with self._changed:
            while not self._waiting and not self._stopping:
                self._changed.wait()
            most = min(MOST_AT_ONCE, max(1, int(self.budget / 2 / max(self._cost, 1e-6))))
            self._running = min(len(self._waiting), most)
            return [self._waiting.popleft() for _ in range(self._running)]


def _settle(results: Iterable[tuple[Job, Slots | None]]) -> None:
    for job, slots in results:
        if not job.done.done():
            job.done.set_result(slots)


def _by_model(jobs: list[Job]) -> list[list[Job]]:
    """Jobs of one package each: a batch never mixes two."""
    groups: dict[int, list[Job]] = {}
    for job in jobs:
        groups.setdefault(id(job.model), []).append(job)
    return list(groups.values())


def rank(jobs: list[Job]) -> list[Slots]:
    """The lists of jobs of one model, scored together."""
    snapshot = jobs[0].model.snapshot
    sequences = assemble(snapshot, [job.history for job in jobs])
    logits = score(snapshot, sequences)
    alike: dict[tuple[ListSettings, bool], list[int]] = {}
    for place, job in enumerate(jobs):
        key = (job.settings, job.reranking.changes_nothing)
        alike.setdefault(key, []).append(place)
    found: dict[int, Slots] = {}
    for (settings, plain), places in alike.items():
        group = [jobs[place] for place in places]
        rows = logits if len(places) == len(jobs) else logits[places]
        hidden, allowed = _hidden(len(jobs), places, group), _allowed(group)
        if not plain:
            chances = rows.softmax(1).numpy()
            if allowed is not None:
                rows[~allowed] = NEVER
            leave_out(rows, sequences, np.array(places), settings, hidden)
            lists = map(_varied, group, rows.numpy(), chances)
            found |= dict(zip(places, lists, strict=True))
            continue
        ids = [job.list_id for job in group]
        varied_by = snapshot.traits
        made = lists_of(
            rows, sequences, np.array(places), ids, settings, hidden, allowed, traits=varied_by
        )
        found |= _split(made, places, jobs[0].model.info.source)
    return [found[place] for place in range(len(jobs))]


def _varied(job: Job, scores: np.ndarray, chances: np.ndarray) -> Slots:
    """The job's list, without a draw, by scores (-inf = not shown) and probabilities, [V+1]."""
    model, k = job.model, job.settings.top_k
    codes, kept = candidates(scores, depth_of(k), job.reranking)
    source = np.full(len(codes), model.info.source, dtype=object)
    known = chances[codes].astype(np.float64)
    pool = Slots(codes, kept, known, np.ones(len(codes)), source)
    new = np.array([event.item for event in job.history.new], dtype=np.int64)
    history = np.concatenate([model.seen(job.history.user), new])
    return varied(model, pool, history, job.reranking, k)


def _hidden(n: int, places: list[int], group: list[Job]) -> Hidden:
    owners = np.repeat(np.array(places), [len(job.hidden) for job in group])
    return Hidden.of(n, owners, np.concatenate([job.hidden for job in group]))


def _allowed(group: list[Job]) -> torch.Tensor | None:
    if all(job.allowed is None for job in group):
        return None
    every = torch.ones(group[0].model.snapshot.n_items + 1, dtype=torch.bool)
    return torch.stack([every if job.allowed is None else job.allowed for job in group])


def _split(lists: Lists, places: list[int], source: str) -> dict[int, Slots]:
    """The slots of each place, and who ranked each."""
    names = np.full(len(lists.codes), source, dtype=object)
    names[lists.repeated] = "fallback"
    names[lists.explored] = "exploration"
    whole = Slots(lists.codes, lists.scores, lists.probabilities, lists.propensities, names)
    return {place: whole.where(lists.users == place) for place in places}
