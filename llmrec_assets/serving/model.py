"""A published package in the form in which requests use it: codes, arrays, and ready answers.

Legend: V items, U users, N rows of published lists. A model never changes; a new package is a new
model, and a request uses one from begin to end.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch

from llmrec_assets.core.item_traits import UNKNOWN_TIME, ItemTraits
from llmrec_assets.core.lists import Hidden
from llmrec_assets.core.new_events import NewEvent
from llmrec_assets.core.online import History, Snapshot, assemble, score
from llmrec_assets.published import Published, PublishedInfo
from llmrec_assets.serving.live_events import LiveEvent
from llmrec_assets.serving.titles import TitleSearch

Filters = tuple[tuple[str, ...], float | None, float | None]  # categories, least and most price
EVERYTHING: Filters = ((), None, None)
_SOURCES = np.array(["model", "exploration", "fallback"], dtype=object)


@dataclass(frozen=True)
class Slots:
    """A list in codes, best first, [n] each."""

    codes: np.ndarray  # int64
    scores: np.ndarray  # float64
    probabilities: np.ndarray  # float64
    propensities: np.ndarray  # float64
    sources: np.ndarray  # of names

    def where(self, kept: np.ndarray | slice) -> "Slots":
        """Those slots only, bool [n] or a slice."""
        return Slots(
            self.codes[kept],
            self.scores[kept],
            self.probabilities[kept],
            self.propensities[kept],
            self.sources[kept],
        )

    def followed_by(self, others: "Slots") -> "Slots":
        """These slots, then the others."""
        return Slots(
            np.concatenate([self.codes, others.codes]),
            np.concatenate([self.scores, others.scores]),
            np.concatenate([self.probabilities, others.probabilities]),
            np.concatenate([self.propensities, others.propensities]),
            np.concatenate([self.sources, others.sources]),
        )


class Model:
    """A loaded package."""

    def __init__(self, published: Published) -> None:
        self.info: PublishedInfo = published.info
        self.snapshot: Snapshot = published.snapshot
        self.users, self.list_ids = published.users, published.list_ids
        self.item_codes, self.behavior_codes = published.item_codes, published.behavior_codes
        self.segments = frozenset(published.info.segments)
        self._read_items(published)
        self._read_lists(published)
        self.traits = self._traits()
        # Filters repeat; the cache lives and dies with the model.
        self.allowed = lru_cache(maxsize=64)(self._allowed)

    def _read_items(self, published: Published) -> None:
        items = published.items
        columns = {}
        for name in ("item_id", "title", "category", "brand", "price"):
            values = items[name].astype(object)
            columns[name] = values.where(values.notna(), None).tolist()
        rows = zip(*columns.values(), strict=True)
        self.facts: list[dict[str, Any]] = [dict.fromkeys(columns)]  # by code; 0 is no item
        self.facts += [dict(zip(columns, row, strict=True)) for row in rows]
        self.prices = np.append(np.nan, items["price"].astype("float64").to_numpy())
        names = {name: place for place, name in enumerate(dict.fromkeys(columns["category"]))}
        self._categories = names
        places = [names[name] for name in columns["category"]]
        self.categories = np.array([-1, *places])

    def _read_lists(self, published: Published) -> None:
        lists = published.lists
        owners = lists["user_id"].map(published.users).to_numpy(dtype=np.int64)
        self._offsets = np.searchsorted(owners, np.arange(len(published.user_ids) + 1))
        self._codes = lists["item_id"].map(published.item_codes).to_numpy(dtype=np.int32)
        numbers = [lists[n].to_numpy() for n in ("score", "probability", "propensity")]
        self._numbers = np.column_stack(numbers).astype(np.float64)
        places = {name: place for place, name in enumerate(_SOURCES.tolist())}
        self._sources = lists["source"].map(places).to_numpy(dtype=np.int8)

    def _traits(self) -> ItemTraits:
        """What lists are varied by."""
        known, never = self.snapshot.facts, np.iinfo(np.int64).max
        without = self._categories.get(None, -2)
        categories = np.where(self.categories == without, 0, self.categories + 1)
        first = np.where(known.first_time == never, UNKNOWN_TIME, known.first_time)
        return ItemTraits.of(self.snapshot.item_vectors, categories, known.events, first)

    @cached_property
    def titles(self) -> TitleSearch:
        """Of the catalogue."""
        return TitleSearch([facts["title"] for facts in self.facts[1:]])

    @cached_property
    def cold(self) -> Slots:
        """The list of somebody without a history, over all items."""
        logits = score(self.snapshot, assemble(self.snapshot, [History()]))[0, 1:].double()
        order = torch.argsort(logits, descending=True, stable=True)
        chances = logits.softmax(0)[order].numpy()
        scores, n = logits[order].numpy(), len(order)
        return Slots(
            order.numpy() + 1, scores, chances, np.ones(n), np.full(n, "fallback", dtype=object)
        )

    def published_list(self, user: int | None) -> Slots:
        """The list that the pipeline published for a user code; nobody's is the cold start."""
        if user is None:
            return self.cold
        span = slice(self._offsets[user], self._offsets[user + 1])
        sources = _SOURCES[self._sources[span]]
        scores, chances, propensities = self._numbers[span].T
        return Slots(self._codes[span].astype(np.int64), scores, chances, propensities, sources)

    def _allowed(self, filters: Filters) -> torch.Tensor | None:
        """Items that filters leave, bool [V+1]; None where there is none."""
        if filters == EVERYTHING:
            return None
        categories, least, most = filters
        kept = np.ones(len(self.facts), dtype=bool)
        if categories:
            kept &= np.isin(self.categories, [self._categories.get(c, -2) for c in categories])
        if least is not None:
            kept &= self.prices >= least  # an item without a price is in no range of prices
        if most is not None:
            kept &= self.prices <= most
        kept[0] = False
        return torch.from_numpy(kept)

    def history(self, user: int | None, events: Sequence[LiveEvent]) -> History:
        """A user's published history with newer events; what is in no catalogue is left out."""
        return History(user, tuple(self.new_event(e) for e in events if e.item in self.item_codes))

    def new_event(self, event: LiveEvent) -> NewEvent:
        """The event in codes."""
        return NewEvent(
            item=self.item_codes[event.item],
            behavior=self.behavior_codes.get(event.behavior, 0),
            time=event.time,
            rating=np.nan if event.rating is None else event.rating,
            value=np.nan if event.value is None else event.value,
            caused=event.caused,
        )

    def hidden(self, user: int | None, events: Sequence[LiveEvent]) -> set[int]:
        """Codes of what the user wants no more of."""
        hides = {name for name, known in self.info.dictionary.items() if known.hides}
        found = {self.item_codes.get(e.item, 0) for e in events if e.behavior in hides}
        published: Hidden = self.snapshot.hidden
        found |= set() if user is None else set(published.of_user(user).tolist())
        return found - {0}

    def seen(self, user: int | None) -> np.ndarray:
        """Codes of the published history, oldest first."""
        whole = self.snapshot.sequences
        if user is None:
            return whole.items[:0]
        return whole.items[whole.offsets[user] : whole.offsets[user + 1]]

    def holds(self, event: LiveEvent) -> bool:
        """Whether the package was made with the event."""
        if event.kind == "events":
            return event.segment in self.segments
        user, whole = self.users.get(event.user), self.snapshot.sequences
        if user is None:
            return False
        span = slice(whole.offsets[user], whole.offsets[user + 1])
        item, behavior = self.item_codes.get(event.item), self.behavior_codes.get(event.behavior)
        same = (whole.items[span] == item) & (whole.behaviors[span] == behavior)
        return bool((same & (whole.times[span] == event.time)).any())
