"""Histories of many users at once, as Arrow's lists, out of their events in order."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True)
class Named:
    """Things by their place: the id of each, and what a text calls it."""

    ids: pa.Array  # (n) string
    words: pa.Array  # (n) string


@dataclass(frozen=True)
class OrderedEvents:
    """All events of some users: those of a user in a row, oldest first."""

    counts: np.ndarray  # (users) int64, at least 1
    times: np.ndarray  # (events)
    items: np.ndarray  # (events) places in a Named
    behaviors: np.ndarray  # (events) places in another one


def newest(counts: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Which events are among the newest `most` of their users.

    Args:
        counts: (users) events of each, which follow each other.
        most: that are wanted of a user.

    Returns:
        (users + 1) int32 where each user's wanted events begin among all that are wanted, and
        (wanted) their places among all events.
    """
    kept = np.minimum(counts, most)
    offsets = np.concatenate([[0], np.cumsum(kept)])
    places = np.arange(offsets[-1]) + np.repeat(np.cumsum(counts) - offsets[1:], kept)
    return offsets.astype(np.int32), places


def histories(
    events: OrderedEvents, items: Named, behaviors: Named, most: int, joiner: str, separator: str
) -> dict[str, Any]:
    """The histories of all users.

    Args:
        events: of these users.
        items: what the events were done with; the words are titles.
        behaviors: what was done.
        most: newest events that the lists and the text hold.
        joiner: between a behaviour and a title.
        separator: between steps.

    Returns:
        Columns with a row for each user: n_events, first_time and last_time (in the unit of the
        times), item_ids and behaviors (lists of strings, oldest first), and history_text, which
        reads `[buy A, browse B]`.

    Raises:
        IndexError: an event names a place that no item or behaviour has.
    """
    last = np.cumsum(events.counts) - 1
    offsets, places = newest(events.counts, most)
    of_item, of_behavior = pa.array(events.items[places]), pa.array(events.behaviors[places])
    # Large: the words of a million events can be more than an offset of 32 bits reaches.
    between, after, begin, end, nothing = (
        pa.scalar(text, pa.large_string()) for text in (joiner, separator, "[", "]", "")
    )
    behavior = behaviors.words.cast(pa.large_string()).take(of_behavior)
    title = items.words.cast(pa.large_string()).take(of_item)
    steps = pc.binary_join_element_wise(behavior, title, between)  # pyright: ignore
    told = pc.binary_join(pa.ListArray.from_arrays(offsets, steps), after)  # pyright: ignore
    return {
        "n_events": events.counts,
        "first_time": events.times[last - events.counts + 1],
        "last_time": events.times[last],
        "item_ids": _lists(offsets, of_item, items),
        "behaviors": _lists(offsets, of_behavior, behaviors),
        "history_text": pc.binary_join_element_wise(begin, told, end, nothing),  # pyright: ignore
    }


def _lists(offsets: np.ndarray, places: pa.Array, things: Named) -> pa.ListArray:
    """The ids of a list's things; each id is held once."""
    return pa.ListArray.from_arrays(offsets, pa.DictionaryArray.from_arrays(places, things.ids))
