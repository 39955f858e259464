"""Lists for histories that go on after what was published: what an online service ranks.

A snapshot holds all that lists were made of; a history is a published one, or nobody's, with new
events at its end. Both ways lead through `lists.lists_of`, so without new events an online list
is the published one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch

from llmrec_assets.core.item_traits import ItemTraits
from llmrec_assets.core.lists import Hidden, Lists, ListSettings, lists_of
from llmrec_assets.core.new_events import (
    NUMERIC,
    ItemFacts,
    NewEvent,
    Scales,
    in_order,
    numeric_features,
)
from llmrec_assets.core.ranking import Scorer
from llmrec_assets.core.sequences import Sequences, flat_rows


@dataclass(frozen=True)
class StepTexts:
    """Which text embedding a step has: the row of (behaviour, item), else of the item alone."""

    keys: np.ndarray  # int64 [n], behaviour * (V + 1) + item, ascending
    rows: np.ndarray  # int32 [n]
    item_rows: np.ndarray  # int32 [V+1], -1 = none

    @classmethod
    def of(cls, sequences: Sequences, item_rows: np.ndarray) -> "StepTexts":
        """As the published events have them; of several texts of one pair the newest event's."""
        keys = sequences.behaviors.astype(np.int64) * len(item_rows) + sequences.items
        told = np.flatnonzero(sequences.text_rows >= 0)
        order = told[np.lexsort((told, sequences.times[told], keys[told]))]
        last = np.append(np.diff(keys[order]) != 0, True)[: len(order)]
        return cls(keys[order][last], sequences.text_rows[order][last], item_rows)

    def __call__(self, events: Sequence[NewEvent]) -> np.ndarray:
        """The row of each event, int32 [n]."""
        items = np.array([e.item for e in events], dtype=np.int64)
        behaviors = np.array([e.behavior for e in events], dtype=np.int64)
        keys = behaviors * len(self.item_rows) + items
        places = np.searchsorted(self.keys, keys)
        known = places < len(self.keys)
        known[known] = self.keys[places[known]] == keys[known]
        rows = self.item_rows[items].astype(np.int32)
        rows[known] = self.rows[places[known]]
        return rows


@dataclass(frozen=True)
class Snapshot:
    """All that lists are made of at one moment, in codes."""

    scorer: Scorer
    sequences: Sequences  # of all users, in the order of their codes
    n_items: int  # V
    hidden: Hidden  # of all users
    settings: ListSettings
    facts: ItemFacts
    step_texts: StepTexts
    scales: Scales
    item_vectors: np.ndarray  # float32 [V+1, D], unit and centred; a zero row has no text

    @cached_property
    def traits(self) -> ItemTraits:
        """What lists with diversity are varied by."""
        return ItemTraits.of(self.item_vectors)


@dataclass(frozen=True)
class History:
    """A user's published events, or nobody's, and new ones in any order."""

    user: int | None = None
    new: Sequence[NewEvent] = field(default_factory=tuple)


def assemble(snapshot: Snapshot, histories: Sequence[History]) -> Sequences:
    """The histories as sequences of users 0..B-1."""
    parts = [_extended(snapshot, history) for history in histories]
    whole = snapshot.sequences
    joined = {
        name: np.concatenate([part[name] for part in parts]) if parts else getattr(whole, name)[:0]
        for name in _COLUMNS
    }
    told = joined.pop("history_rows") if len(whole.history_rows) else whole.history_rows
    lengths = [len(part["items"]) for part in parts]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    joined.pop("history_rows", None)
    return Sequences(offsets=offsets, relative=whole.relative, history_rows=told, **joined)


_COLUMNS = (
    "items", "behaviors", "text_rows", "numeric", "times", "positive", "weights", "history_rows",
)  # fmt: skip


def _extended(snapshot: Snapshot, history: History) -> dict[str, np.ndarray]:
    """One history's columns, the published part and what was added."""
    whole, user = snapshot.sequences, history.user
    span = slice(0, 0) if user is None else slice(whole.offsets[user], whole.offsets[user + 1])
    known = {name: getattr(whole, name)[span] for name in _COLUMNS if name != "history_rows"}
    told = len(whole.history_rows) > 0
    known["history_rows"] = whole.history_rows[span] if told else np.zeros(0, np.int32)
    if not history.new:
        return known
    added = _added(snapshot, history.new, known)
    if not told:
        added["history_rows"] = added["history_rows"][:0]
    return {
        name: np.concatenate([values, added[name]]).astype(values.dtype)
        for name, values in known.items()
    }


def _added(
    snapshot: Snapshot, new: Sequence[NewEvent], known: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    relative, times = snapshot.sequences.relative, known["times"]
    events = in_order(new, int(times[-1]) if len(times) else None, relative)
    width, n = snapshot.sequences.n_numeric, len(events)
    place = NUMERIC.index("session_position")
    session = known["numeric"][-1, place] if len(times) and width > place else np.nan
    numeric = numeric_features(
        events, known["items"], times, float(session), snapshot.facts, snapshot.scales, relative
    )
    return {
        "items": np.array([e.item for e in events]),
        "behaviors": np.array([e.behavior for e in events]),
        "text_rows": snapshot.step_texts(events),
        "numeric": numeric[:, :width],
        "times": np.array([e.time for e in events], dtype=np.int64),
        "positive": np.ones(n, dtype=bool),
        "weights": np.ones(n),
        "history_rows": np.full(n, -1),
    }


def score(snapshot: Snapshot, sequences: Sequences) -> torch.Tensor:
    """Log-probabilities or scores of the next item of every history, [B, V+1]."""
    users = np.arange(sequences.n_users)
    return snapshot.scorer.logits(sequences, sequences.offsets[1:], users)


def hidden_of(snapshot: Snapshot, histories: Sequence[History]) -> Hidden:
    """What the published package hides from each of the histories' users."""
    users = np.array([-1 if h.user is None else h.user for h in histories], dtype=np.int64)
    known = np.flatnonzero(users >= 0)
    offsets = snapshot.hidden.offsets
    positions, places = flat_rows(offsets[users[known]], offsets[users[known] + 1])
    return Hidden.of(len(users), known[places], snapshot.hidden.items[positions])


def recommend(
    snapshot: Snapshot,
    histories: Sequence[History],
    list_ids: Sequence[str],
    settings: ListSettings | None = None,
    hidden: Hidden | None = None,
    allowed: torch.Tensor | None = None,
    refill: bool = True,
) -> Lists:
    """The lists of some histories; `Lists.users` are their places.

    Args:
        snapshot: what is published.
        histories: whose lists, few enough for scores [B, V+1].
        list_ids: of each history; randomised slots depend on them.
        settings: those of the published lists where none are given.
        hidden: items that each is not shown; those of the package where not given.
        allowed: bool [B, V+1], items that may be shown.
        refill: as in `lists_of`.
    """
    sequences = assemble(snapshot, histories)
    return lists_of(
        score(snapshot, sequences),
        sequences,
        np.arange(len(histories)),
        list_ids,
        settings or snapshot.settings,
        hidden_of(snapshot, histories) if hidden is None else hidden,
        allowed,
        refill,
        snapshot.traits,
    )
