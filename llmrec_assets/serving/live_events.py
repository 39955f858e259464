"""What users did since the published package was made, in memory, by user.

An event leaves when a package holds it: when its segment is among those that the package names,
or, for what came as a response, when the published history has the event. The files of the landing
zone hold all of it too, so a restart reads it again.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from llmrec_assets.core.behaviors import EXPOSURE, Behavior
from llmrec_assets.serving.journal import Kind, Record
from llmrec_assets.settings import setting

MOST_OF_A_USER = 500
DWELL_SECONDS = setting("DWELL_SECONDS", 5.0, minimum=0)  # a shorter look is no liking


@dataclass(frozen=True)
class LiveEvent:
    """One event, by external names."""

    user: str
    item: str
    behavior: str
    time: int  # microseconds UTC, or a step
    rating: float | None
    value: float | None
    caused: bool
    kind: Kind  # which files tell it
    segment: str

    @property
    def content(self) -> tuple[object, ...]:
        """All that a model reads of it."""
        return self.item, self.behavior, self.time, self.rating, self.value, self.caused

    @property
    def key(self) -> tuple[str, str, int]:
        """What makes it the same event, whoever tells it."""
        return self.item, self.behavior, self.time


class LiveEvents:
    """The newest events of every user, oldest first. Used by one thread only."""

    def __init__(self, most: int = 1_000_000) -> None:
        """Of more than `most` events those of the users that were quiet longest are forgotten."""
        self.most, self.count = most, 0
        self._users: OrderedDict[str, tuple[LiveEvent, ...]] = OrderedDict()

    def of(self, user: str | None) -> tuple[LiveEvent, ...]:
        """A user's events; nobody has none."""
        return self._users.get(user, ()) if user is not None else ()

    def add(self, events: Iterable[LiveEvent]) -> None:
        """Take in events; one that is there already changes nothing."""
        for event in events:
            before = self._users.pop(event.user, ())
            if any(event.key == known.key for known in before):
                self._users[event.user] = before
                continue
            kept = sorted((*before, event), key=lambda e: e.time)[-MOST_OF_A_USER:]
            self._users[event.user] = tuple(kept)
            self.count += len(kept) - len(before)
        while self.count > self.most:
            self.count -= len(self._users.popitem(last=False)[1])

    def settle(self, is_held: Callable[[LiveEvent], bool]) -> None:
        """Forget what a package that takes over holds, or what else is over."""
        for user, events in list(self._users.items()):
            kept = tuple(event for event in events if not is_held(event))
            self.count -= len(events) - len(kept)
            if kept:
                self._users[user] = kept
            else:
                del self._users[user]


def event_of(
    record: Record,
    segment: str,
    time: int,
    dictionary: Mapping[str, Behavior],
    said: Mapping[str, str],
) -> LiveEvent | None:
    """The event that a record tells; None for an impression and for what tells no liking.

    Args:
        record: an event or a response, as it is written.
        segment: name of the file that holds it.
        time: its time, parsed.
        dictionary: what behaviours mean.
        said: every name and word to the behaviour that it means.
    """
    told = record.content
    if record.kind == "events":
        behavior = str(told["behavior"]).strip().lower()
        rating, value = told.get("rating"), told.get("value")
    else:
        answer = str(told["response"]).strip().lower()
        behavior = said.get(answer, answer)
        if not _counts(behavior, told.get("value"), dictionary):
            return None
        is_rating = behavior in dictionary and dictionary[behavior].value == "rating"
        rating = told.get("value") if is_rating else None
        value = None if is_rating else told.get("value")
    if behavior == EXPOSURE:
        return None
    cause = told.get("caused_by") or told.get("list_id")
    return LiveEvent(
        told["user_id"], told["item_id"], behavior, time, rating, value, bool(cause),
        record.kind, segment,
    )  # fmt: skip


def _counts(behavior: str, value: Any, dictionary: Mapping[str, Behavior]) -> bool:  # noqa: ANN401
    """Whether such a response becomes history, as far as one response alone can tell.

    Which ratings speak for an item, the pipeline sees by all of a behaviour; here any counts.
    """
    known = dictionary.get(behavior, Behavior())
    if behavior == EXPOSURE or not (known.positive or known.hides):
        return False
    return known.value != "seconds" or value is None or value >= DWELL_SECONDS
