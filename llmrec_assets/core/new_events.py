"""Events that came after the published histories, with the features a model reads of a step.

What stage 4 computes by SQL over all events is computed here for a few new ones at the end of one
history, by the same formulas; a test holds both against each other. NumPy only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Order of the numeric features of a step, the same as the columns of stage 4.
NUMERIC = (
    "gap", "hour_sin", "hour_cos", "weekday_sin", "weekday_cos", "recency", "session_position",
    "rating", "value", "item_age", "item_popularity", "recommended",
)  # fmt: skip
SECOND, HOUR, DAY = 1_000_000, 3_600_000_000, 86_400_000_000  # in microseconds
SESSION_GAP, SESSION_STEPS = 1800.0, 1.0  # a longer pause begins a session: seconds, or steps
_MONDAY = 3  # 1970-01-01 was a Thursday


@dataclass(frozen=True)
class NewEvent:
    """One event in codes."""

    item: int  # 1..V
    behavior: int  # 1..B, 0 for one that no model knows
    time: int  # microseconds UTC; not read where times are relative
    rating: float = np.nan
    value: float = np.nan
    caused: bool = False  # by a list


@dataclass(frozen=True)
class Scales:
    """How rating and value of each behaviour are scaled: (x - shift) / scale."""

    shift: np.ndarray  # float64 [2, B+1], rating and value; NaN where unknown
    scale: np.ndarray  # float64 [2, B+1], above 0


@dataclass(frozen=True)
class ItemFacts:
    """What all published events say of each item."""

    first_time: np.ndarray  # int64 [V+1], of anybody's first event
    events: np.ndarray  # int64 [V+1], by anybody

    @classmethod
    def of(cls, items: np.ndarray, times: np.ndarray, n_items: int) -> "ItemFacts":
        """From the item code and time of every event, [N] each."""
        first = np.full(n_items + 1, np.iinfo(np.int64).max)
        np.minimum.at(first, items, times)
        return cls(first, np.bincount(items, minlength=n_items + 1))


def in_order(events: Sequence[NewEvent], last: int | None, relative: bool) -> list[NewEvent]:
    """The events oldest first, none before `last`, the time of the history's last event.

    One that is older than what is published is read as if it came right after it; the next
    published package has it in its place. Relative times count on by one.
    """
    found = []
    for event in sorted(events, key=lambda e: e.time):
        time = event.time
        if relative:
            time = 0 if last is None else last + 1
        elif last is not None:
            time = max(time, last)
        last = time
        found.append(NewEvent(**{**vars(event), "time": time}))
    return found


def numeric_features(
    events: Sequence[NewEvent],
    items: np.ndarray,
    times: np.ndarray,
    last_session_position: float,
    facts: ItemFacts,
    scales: Scales,
    relative: bool,
) -> np.ndarray:
    """The numeric features of new events, float32 [n, len(NUMERIC)], NaN = unknown.

    Args:
        events: as `in_order` gives them.
        items: int [m], the history before them.
        times: int64 [m], of that history, oldest first.
        last_session_position: the feature (scaled as here) of its last event; NaN without one.
        facts: of the published events.
        scales: of rating and value.
        relative: times are steps of each user's own.
    """
    n, before = len(events), len(items)
    unit = 1 if relative else SECOND
    codes = np.concatenate([items, [e.item for e in events]]).astype(np.int64)
    when = np.concatenate([times, [e.time for e in events]]).astype(np.int64)
    now = when[before:]
    found = np.full((n, len(NUMERIC)), np.nan)
    gap = np.full(n, np.nan)
    follows = np.arange(before, before + n) > 0
    gap[follows] = (now - when[np.arange(before, before + n) - 1])[follows] / unit
    columns = {name: found[:, place] for place, name in enumerate(NUMERIC)}
    columns["gap"][:] = np.log1p(gap) / 10
    columns["recency"][:] = np.log1p(_since_same(codes, when, before) / unit) / 10
    positions = _session_positions(gap, last_session_position, relative)
    columns["session_position"][:] = np.log1p(positions) / 10
    behaviors = np.array([e.behavior for e in events], dtype=np.int64)
    for place, name in enumerate(("rating", "value")):
        given = np.array([getattr(e, name) for e in events], dtype=np.float64)
        shift, scale = scales.shift[place][behaviors], scales.scale[place][behaviors]
        columns[name][:] = (given - shift) / scale
    columns["recommended"][:] = [e.caused for e in events]
    if not relative:
        _clock(columns, now)
        new = codes[before:]
        age = np.maximum(now - np.minimum(facts.first_time[new], now), 0) / unit
        columns["item_age"][:] = np.log1p(age) / 10
        columns["item_popularity"][:] = np.log1p(facts.events[new]) / 10
    return found.astype(np.float32)


def _clock(columns: dict[str, np.ndarray], now: np.ndarray) -> None:
    hour, weekday = now // HOUR % 24, (now // DAY + _MONDAY) % 7
    for name, angle in (("hour", hour / 24), ("weekday", weekday / 7)):
        columns[f"{name}_sin"][:] = np.sin(2 * np.pi * angle)
        columns[f"{name}_cos"][:] = np.cos(2 * np.pi * angle)


def _since_same(codes: np.ndarray, when: np.ndarray, before: int) -> np.ndarray:
    """Time since the history's last event with the same item, float64 [n], NaN for none."""
    since = np.full(len(codes) - before, np.nan)
    for place in range(before, len(codes)):
        earlier = np.flatnonzero(codes[:place] == codes[place])
        if len(earlier):
            since[place - before] = when[place] - when[earlier[-1]]
    return since


def _session_positions(gap: np.ndarray, last: float, relative: bool) -> np.ndarray:
    """Place of each new event in its session, from 0, float64 [n]."""
    longest = SESSION_STEPS if relative else SESSION_GAP
    position = -1.0 if np.isnan(last) else np.round(np.expm1(10 * last))
    found = np.zeros(len(gap))
    for place, pause in enumerate(gap):
        position = 0.0 if np.isnan(pause) or pause > longest else position + 1
        found[place] = position
    return found
