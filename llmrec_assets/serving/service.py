"""One running service: the model that answers now, the newest events, and who works behind them.

All methods run in the event loop's thread, so what is read together belongs together: the model
and the events that it lacks are one pair, exchanged in one step.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from llmrec_assets.core.copy_checks import CopyChecker
from llmrec_assets.serving import lists, times
from llmrec_assets.serving.copy_writer import CopyWriter, writer_from_environment
from llmrec_assets.serving.engine import Engine
from llmrec_assets.serving.journal import Journal, Kind, Record
from llmrec_assets.serving.live_events import LiveEvent, LiveEvents
from llmrec_assets.serving.measures import ServiceMeasures
from llmrec_assets.serving.model import Model, Slots
from llmrec_assets.serving.options import ServeOptions
from llmrec_assets.serving.ranking import Job
from llmrec_assets.serving.ready_lists import ReadyLists
from llmrec_assets.serving.rebuilding import is_over, live_events, rebuild, taken_away
from llmrec_assets.serving.schemas import Feedback, ListOptions, SessionRequest, WhyRequest
from llmrec_assets.serving.shown_lists import ShownLists
from llmrec_assets.serving.takeover import Watcher
from llmrec_assets.serving.why import why

_MOST_FORESEEN = 8  # lists in the queue with which none is made before it is asked for


class NotReady(Exception):
    """No package serves yet; the message says why."""


@dataclass(frozen=True)
class Made:
    """A list and how it came to be."""

    wanted: lists.Wish
    slots: Slots
    source: Literal["live", "published", "fallback"]


@dataclass(frozen=True)
class _Prepared:
    """What a package needs to take over."""

    events: list[LiveEvent]
    writer: CopyWriter | None
    is_gone: Callable[[LiveEvent], bool] | None = None  # where something was forgotten


class Service:
    """What the routes ask."""

    def __init__(self, options: ServeOptions) -> None:
        self.options, self.measures = options, ServiceMeasures()
        names = options.pseudonyms
        self.known_as: Callable[[str], str] = names.of if names else str
        layout = options.layout
        self.folders: dict[Kind, Any] = {
            "lists": layout.landing_lists,  # before the responses that name them
            "events": layout.landing_events,
            "feedback": layout.landing_feedback,
        }
        self.journal = Journal(self.folders, close_after=options.segment_seconds)
        self.engine = Engine(options.budget_ms / 1e3, options.most_waiting, self.measures)
        self.live, self.shown, self.ready = LiveEvents(), ShownLists(), ReadyLists()
        self.measures.waiting.set_function(lambda: self.engine.waiting)
        self.measures.live_events.set_function(lambda: self.live.count)
        self.watcher = Watcher(
            layout,
            options.canary_users,
            self.engine,
            self._take_over,
            self._prepare,
            self._count_takeover,
            names.check if names else "",
        )
        self._model: Model | None = None
        self._writer: CopyWriter | None = None
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Publish what a dead process left, then begin; packages are looked for from now on."""
        self.journal.recover()
        self.journal.start()
        self._watching = asyncio.create_task(self.watcher.watch(self.options.poll_seconds))

    async def stop(self) -> None:
        """Finish what was begun; feedback goes to the landing zone."""
        if self._watching:
            self._watching.cancel()
        await self.engine.stop()
        await asyncio.to_thread(self.journal.stop)

    @property
    def model(self) -> Model:
        """The package that answers now; a request asks once.

        Raises:
            NotReady: there is none yet.
        """
        if self._model is None:
            raise NotReady(self.watcher.reason)
        return self._model

    def _count_takeover(self, outcome: str) -> None:
        self.measures.takeovers.labels(outcome).inc()

    def _prepare(self, model: Model) -> _Prepared:
        """What a package needs, beside requests: for the first one the events since, and copy."""
        known = model.facts[1:]
        titles, brands = ({f[name] for f in known if f[name]} for name in ("title", "brand"))
        writer = writer_from_environment(lambda: CopyChecker(titles, brands))
        read = partial(rebuild, self.folders, model, known_as=self.known_as)
        if self._model is None:
            return _Prepared(read(self.journal.known.remember), writer)
        if self._model.info.forgotten == model.info.forgotten:
            return _Prepared([], writer)
        return _Prepared([], writer, taken_away(self.folders, partial(read, lambda _: None)))

    def _take_over(self, model: Model, prepared: _Prepared) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer = prepared.writer
        gone = set() if self._model is None else self._model.users.keys() - model.users.keys()
        self._model = model
        self.ready.clear()
        # Who was in the package and is no more was erased.
        self.live.settle(lambda event: event.user in gone or is_over(event, model))
        self.live.add(prepared.events)
        if prepared.is_gone is not None:
            self.live.settle(prepared.is_gone)
            self.shown.forget(lambda user: not self._is_known(model, user))
        info = model.info
        seconds = times.micros_of(info.generated_at) / 1e6
        self.measures.serves(info.package_id, info.model_version, seconds)

    def _is_known(self, model: Model, user: str) -> bool:
        """Whether anything is held of a user, by the package or since."""
        name = self.known_as(user)
        return name in model.users or bool(self.live.of(name))

    async def make_list(self, user_id: str | None, options: ListOptions) -> Made:
        """A user's list, or nobody's.

        What the pipeline published where nothing has happened since; else it is ranked now, or the
        published one stands in where that takes too long.

        Raises:
            NotReady: there is no package.
            times.BadTime: a time of the session cannot be read.
        """
        known = self._known(user_id)
        wanted = lists.wish(self.model, known, self.live.of(known), options)
        if known is not None and not isinstance(options, SessionRequest):
            self.ready.asked(known, options)
        if wanted.unchanged:  # ranking it again would give the same: the takeover has seen to it
            return self._made(Made(wanted, lists.fallback(wanted), "published"), user_id)
        slots = await asyncio.shield(self._ranked(wanted))
        if slots is None:
            made = Made(lists.replaced(wanted), lists.fallback(wanted), "fallback")
        else:
            made = Made(wanted, lists.checked(wanted, slots), "live")
        return self._made(made, user_id)

    def _ranked(self, wanted: lists.Wish) -> "asyncio.Future[Slots | None]":
        """The list, which may be there already."""
        new = wanted.model.history(wanted.user, wanted.events).new
        job = Job(
            wanted.user,
            new,
            wanted.settings,
            wanted.hidden,
            wanted.list_id,
            wanted.filters,
            wanted.reranking,
        )
        return self.ready.get(wanted.list_id, lambda: self.engine.rank(job))

    def _foresee(self, users: Iterable[str]) -> None:
        """Have the next lists made of users that something happened to, while nobody waits."""
        for user in users:
            options = self.ready.options_of(user)
            if options is None or self.engine.waiting >= _MOST_FORESEEN:
                continue
            wanted = lists.wish(self.model, user, self.live.of(user), options)
            if not wanted.unchanged and wanted.list_id not in self.ready:
                self._ranked(wanted)

    def _known(self, user_id: str | None) -> str | None:
        """What the package, and the newest events, know a user by."""
        return None if user_id is None else self.known_as(user_id)

    def _made(self, made: Made, user_id: str | None) -> Made:
        """Remember a list that the pipeline does not know, and count it."""
        wanted = made.wanted
        if not wanted.is_published:
            self.shown.add(wanted.model, wanted.list_id, user_id, made.slots)
        self.measures.lists.labels(made.source).inc()
        return made

    async def why(self, asked: WhyRequest) -> dict[str, Any] | None:
        """Why an item is recommended; None for one that the catalogue does not have.

        Raises:
            NotReady: there is no package.
            times.BadTime: a time of the session cannot be read.
        """
        model = self.model
        if asked.item_id not in model.item_codes:
            return None
        known = self._known(asked.user_id)
        events = (*self.live.of(known), *lists.session_events(model, asked))
        user = model.users.get(known) if known is not None else None
        history = model.history(user, events)
        told = (asked.item_id, asked.language, self._writer)
        return await asyncio.to_thread(why, model, history, *told)

    async def keep(self, feedback: Feedback) -> tuple[int, int]:
        """Keep feedback on disk, then let it count; how many records are new, and known.

        Raises:
            NotReady, times.BadTime, Conflict: nothing was kept.
            Busy: not all was kept.
        """
        info = self.model.info
        earliest = self.options.earliest_micros
        records = _records(feedback, info.relative, earliest)
        responses = (record for record in records if record.kind == "feedback")
        receipt = await self.journal.keep(records, self.shown.named_by(responses))
        model = self.model  # perhaps another by now: it may hold the segment already
        events = live_events(receipt.fresh, receipt.names, model, self.known_as)
        new = [event for event in events if not model.holds(event)]
        self.live.add(new)
        self._foresee(dict.fromkeys(event.user for event in new))
        self.measures.feedback.labels("accepted").inc(len(receipt.fresh))
        self.measures.feedback.labels("duplicate").inc(receipt.duplicates)
        return len(receipt.fresh), receipt.duplicates


def _records(feedback: Feedback, relative: bool, earliest: int) -> list[Record]:
    """The lines to be: only what was given, times in the one form."""
    records = []
    kinds: tuple[tuple[Kind, Any], ...] = (
        ("events", feedback.events),
        ("feedback", feedback.responses),
    )
    for kind, batch in kinds:
        for place, told in enumerate(batch):
            content = told.model_dump(exclude_none=True)
            try:
                time = times.parse(told.timestamp, relative, earliest)
            except times.BadTime as error:
                where = "events" if kind == "events" else "responses"
                raise times.BadTime(f"{where}.{place}.timestamp {error}") from error
            content["timestamp"] = times.written(time, relative)
            if kind == "events" and "list_id" in content:
                content["caused_by"] = content.pop("list_id")
            identity = content["event_id" if kind == "events" else "feedback_id"]
            records.append(Record(kind, identity, content))
    return records
