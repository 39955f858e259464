"""Lists of late as they were answered, so that a response to one can say what it was.

The pipeline knows the lists that it published. Of the others it learns those that users answer:
their rows go to the landing zone before the first response that names them. What was forgotten
here, or made before a restart, stays without a cause there.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from llmrec_assets.serving import times
from llmrec_assets.serving.journal import Record
from llmrec_assets.serving.model import Model, Slots


@dataclass(frozen=True)
class ShownList:
    """One list, without the package that it came from."""

    list_id: str
    user: str | None  # nobody's may be answered by anybody
    model_version: str
    time: int  # microseconds UTC
    items: tuple[str, ...]
    numbers: np.ndarray  # float64 [n, 3]: score, probability, propensity
    sources: tuple[str, ...]

    def record(self, user: str) -> "ListRecord":
        """The rows to be, of the list as this user saw it."""
        names = ("score", "probability", "propensity")
        whole = {"list_id": self.list_id, "user_id": user}
        made = {
            "model_version": self.model_version,
            "generated_at": times.written(self.time, relative=False),
        }
        rows = zip(self.items, self.numbers.tolist(), self.sources, strict=True)
        return ListRecord(
            "lists",
            f"{user}\x1f{self.list_id}",
            whole,
            tuple(
                {**whole, "rank": rank, "item_id": item, **dict(zip(names, numbers, strict=True)),
                 "source": source, **made}
                for rank, (item, numbers, source) in enumerate(rows, start=1)
            ),
        )  # fmt: skip


@dataclass(frozen=True)
class ListRecord(Record):
    """A list that a user answered: a line for each of its slots."""

    rows: tuple[Mapping[str, Any], ...] = ()

    @property
    def line(self) -> bytes:
        """All lines, as they are written."""
        return b"".join(Record(self.kind, self.identity, row).line for row in self.rows)


class ShownLists:
    """The newest lists by their ids. Used by one thread only."""

    def __init__(self, most: int = 50_000, most_slots: int = 1_000_000) -> None:
        """Of more lists, or more slots in all, those that were shown longest ago are forgotten."""
        self.most, self.most_slots, self.slots = most, most_slots, 0
        self._lists: OrderedDict[str, ShownList] = OrderedDict()

    def add(self, model: Model, list_id: str, user: str | None, slots: Slots) -> None:
        """Remember a list that was made now; one that is empty is none."""
        if not len(slots.codes):
            return
        known = self._lists.pop(list_id, None)
        self.slots -= len(known.items) if known else 0
        numbers = (slots.scores, slots.probabilities, slots.propensities)
        self._lists[list_id] = ShownList(
            list_id,
            user,
            model.info.model_version,
            times.now_micros(),
            tuple(model.facts[code]["item_id"] for code in slots.codes.tolist()),
            np.column_stack(numbers).astype(np.float64),
            tuple(slots.sources.tolist()),
        )
        self.slots += len(slots.codes)
        while len(self._lists) > self.most or self.slots > self.most_slots:
            self.slots -= len(self._lists.popitem(last=False)[1].items)

    def forget(self, is_gone: Callable[[str], bool]) -> None:
        """Let go of the lists of some users."""
        for list_id, shown in list(self._lists.items()):
            if shown.user is not None and is_gone(shown.user):
                del self._lists[list_id]
                self.slots -= len(shown.items)

    def named_by(self, responses: Iterable[Record]) -> Iterator[ListRecord]:
        """The lists that responses name, each once for each user; another user's are none."""
        found = {
            (r.content["list_id"], r.content["user_id"])
            for r in responses
            if "list_id" in r.content
        }
        for list_id, user in sorted(found):
            shown = self._lists.get(list_id)
            if shown is not None and shown.user in (None, user):
                yield shown.record(user)
