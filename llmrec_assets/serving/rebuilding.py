"""The newest events and the known ids, read again from the segments of the landing zone."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from llmrec_assets.core.behaviors import names
from llmrec_assets.serving import logs, segments, times
from llmrec_assets.serving.journal import Kind, Record
from llmrec_assets.serving.live_events import LiveEvent, event_of
from llmrec_assets.serving.model import Model

IDENTITY: Mapping[Kind, str] = {"events": "event_id", "feedback": "feedback_id"}
# A response that became no event of a package by then never will.
LONGEST_WAIT = timedelta(days=7)


def rebuild(
    folders: Mapping[Kind, Path],
    model: Model,
    remember: Callable[[list[Record]], None],
    known_as: Callable[[str], str] = str,
) -> list[LiveEvent]:
    """What the closed segments tell and `model` does not hold yet.

    The ids of the last days' segments are remembered, also of those that the model holds: a client
    that repeats what is older is told that it is new, and the pipeline finds that it is not.

    Args:
        folders: of the landing zone.
        model: the package that takes over.
        remember: takes the records of a segment.
        known_as: what the package knows a user by.
    """
    found: list[LiveEvent] = []
    for kind in IDENTITY:  # lists tell no event
        for path in segments.published(folders[kind]):
            recent = segments.closed_within(path.name, LONGEST_WAIT)
            held = kind == "events" and path.name in model.segments
            if not recent and (held or kind == "feedback"):
                continue
            records = list(_records(kind, path))
            if recent:
                remember(records)
            events = live_events(records, {kind: path.name}, model, known_as) if not held else ()
            found += [event for event in events if not is_over(event, model)]
    return found


def taken_away(
    folders: Mapping[Kind, Path], read: Callable[[], list[LiveEvent]]
) -> Callable[[LiveEvent], bool]:
    """Whether an event in memory was taken out of the landing zone, as far as `read` finds it."""
    moment = datetime.now(UTC)
    still_open = {name for folder in folders.values() for name in segments.still_open(folder)}
    told = {(event.user, event.key) for event in read()}

    def is_gone(event: LiveEvent) -> bool:
        if event.segment in still_open or not segments.opened_before(event.segment, moment):
            return False  # not read
        return (event.user, event.key) not in told

    return is_gone


def is_over(event: LiveEvent, model: Model) -> bool:
    """Whether the package holds the event, or it came as a response that became none for long."""
    if event.kind == "feedback" and not segments.closed_within(event.segment, LONGEST_WAIT):
        return True
    return model.holds(event)


def live_events(
    records: list[Record],
    names_of: Mapping[Kind, str],
    model: Model,
    known_as: Callable[[str], str] = str,
) -> Iterator[LiveEvent]:
    """The events that records on disk tell; impressions and the like tell none.

    Args:
        records: as they are written.
        names_of: the segment that holds them, by kind.
        model: knows the behaviours and the kind of times.
        known_as: what the package knows a user by.
    """
    dictionary = model.info.dictionary
    said = names(dictionary)
    for record in records:
        file = names_of[record.kind]
        try:
            written = record.content["timestamp"]
            time = times.parse(written, model.info.relative, earliest=-(1 << 62))
            event = event_of(record, file, time, dictionary, said)
        except (times.BadTime, KeyError, TypeError, ValueError) as error:
            logs.warn("a line of a segment tells no event", file=file, error=type(error).__name__)
            continue
        if event is not None:
            yield replace(event, user=known_as(event.user))


def _records(kind: Kind, path: Path) -> Iterator[Record]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                content = json.loads(line)
                yield Record(kind, content[IDENTITY[kind]], content)
            except (ValueError, KeyError, TypeError):
                logs.warn("a line of a segment cannot be read", file=path.name, line=number)
