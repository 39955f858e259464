"""A small generated shop: a catalogue in Chinese and English, and a year of its users' events.

Everything follows from the seed. Users come in sessions; in a session they visit items, each
drawn with probability softmax(utility) as `shop_truth` defines it, and a visit goes down a funnel:
browse, perhaps click, perhaps cart, perhaps buy. So text helps (tastes, moods and seasons follow
words), sequence helps (needs and partners follow what was looked at), and counts of items alone
are too sparse to see all of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from llmrec_assets.datasets.landing import replace_text
from llmrec_assets.datasets.shop_catalogue import Catalogue, make_catalogue
from llmrec_assets.datasets.shop_events import DELAYS, Visits, events_of
from llmrec_assets.datasets.shop_truth import (
    DAY,
    DAYS,
    START,
    WEEK,
    Minds,
    Truth,
    World,
    click_probability,
)

EVENTS_FILE, ITEMS_FILE = "shop-events.csv", "shop-items.csv"
VISITS_PER_USER = 13.5  # median
SESSION_GAP = DAY // 4  # seconds between the starts of two sessions of a user, at least
DIRTY_ROWS = (
    # event_id, user_id, item_id, timestamp, behavior: what the landing zone has to reject
    ("x00001", "", "i0003", "2025-03-01T10:00:00Z", "browse"),
    ("x00002", "", "i0117", "2025-05-11T21:14:09Z", "buy"),
    ("x00003", "u00021", "", "2025-06-02T08:30:00Z", "click"),
    ("x00004", "u00042", "i0042", "yesterday", "browse"),
    ("x00005", "u00107", "i0200", "2025-13-45T99:00:00Z", "cart"),
    ("x00006", "u00300", "i0011", "", "like"),
)


@dataclass(frozen=True)
class Shop:
    """The generated frames, in the columns of the landing files, and the truth behind them."""

    events: pd.DataFrame
    items: pd.DataFrame
    truth: Truth


def generate(seed: int = 7, n_users: int = 1500, n_items: int = 400) -> Shop:
    """Generate the shop; the same arguments give identical frames and the same truth.

    Raises:
        ValueError: the words do not make `n_items` distinct titles.
    """
    for_items, for_tastes, for_times, for_visits, for_events = (
        np.random.default_rng(sequence) for sequence in np.random.SeedSequence(seed).spawn(5)
    )
    catalogue = make_catalogue(for_items, n_items)
    world = World(
        catalogue=catalogue,
        tastes=_draw_tastes(for_tastes, catalogue, n_users),
        first_bought=np.full((n_users, n_items), np.inf),
    )
    visits, minds = _walk(for_visits, world, _draw_times(for_times, n_users))
    user_ids = np.array([f"u{user:05d}" for user in range(n_users)], dtype=object)
    return Shop(
        events=events_of(for_events, visits, user_ids, catalogue.ids),
        items=catalogue.frame,
        truth=Truth(world, user_ids, visits.users, visits.seconds, minds),
    )


def write_landing(shop: Shop, landing_events: Path, landing_items: Path) -> None:
    """Write `shop-events.csv` and `shop-items.csv`, each replaced as a whole.

    The events end with `DIRTY_ROWS`, so that a demo shows what is rejected and why.
    """
    dirty = pd.DataFrame(list(DIRTY_ROWS), columns=shop.events.columns[:5])
    events = pd.concat([shop.events, dirty], ignore_index=True)
    replace_text(landing_items / ITEMS_FILE, shop.items.to_csv(index=False, lineterminator="\n"))
    replace_text(landing_events / EVENTS_FILE, events.to_csv(index=False, lineterminator="\n"))


def _draw_tastes(rng: np.random.Generator, catalogue: Catalogue, n_users: int) -> np.ndarray:
    """[weeks, U, D] a few favourite items make a first taste; random steps carry it on."""
    weeks = DAYS * DAY // WEEK + 1
    favourites = rng.integers(len(catalogue.vectors), size=(n_users, 3))
    home = catalogue.vectors[favourites].sum(axis=1)
    home /= np.linalg.norm(home, axis=1, keepdims=True)
    steps = rng.normal(0.0, 0.025, size=(weeks, *home.shape))
    tastes = home + np.cumsum(steps, axis=0)
    return tastes / np.linalg.norm(tastes, axis=2, keepdims=True)


def _draw_times(rng: np.random.Generator, n_users: int) -> list[np.ndarray]:
    """For each user, the epoch seconds of each visit and whether it opens a session: [2, visits].

    Users join in the first two thirds of the year; sessions lie anywhere after that.
    """
    counts = np.exp(rng.normal(np.log(VISITS_PER_USER), 0.55, n_users)).round().clip(5, 70)
    times = []
    for count in counts.astype(int):
        opens = rng.random(count) < 0.35
        opens[0] = True
        session = np.cumsum(opens) - 1
        n_sessions = session[-1] + 1
        joined = rng.uniform(0, DAYS * DAY * 2 / 3)
        room = DAYS * DAY - joined - (n_sessions + 1) * SESSION_GAP
        starts = joined + np.sort(rng.random(n_sessions)) * room
        starts += np.arange(n_sessions) * SESSION_GAP
        minutes = np.cumsum(rng.uniform(180, 300, count))
        minutes -= minutes[opens][session]
        seconds = np.floor(START.timestamp() + starts[session] + minutes)
        times.append(np.stack([seconds, opens]))
    return times


def _steps(times: list[np.ndarray]) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """For the first visit of all users, then the second, ...: users, seconds, opens [active]."""
    for step in range(max(visits.shape[1] for visits in times)):
        active = np.array([u for u, visits in enumerate(times) if visits.shape[1] > step])
        seconds, opens = np.array([times[user][:, step] for user in active]).T
        yield active, seconds, opens.astype(bool)


def _walk(rng: np.random.Generator, world: World, times: list[np.ndarray]) -> tuple[Visits, Minds]:
    """Let all users walk through the shop, visit by visit; fills `world.first_bought`."""
    minds = Minds.blank(len(times), world.catalogue)
    visits, after = [], []
    for users, seconds, opens in _steps(times):
        utilities = world.utilities(users, minds.of(users), seconds)
        items = np.argmax(utilities + rng.gumbel(size=utilities.shape), axis=1)
        affinity = click_probability(utilities[np.arange(len(users)), items])
        depth = funnel_depth(rng, affinity)
        _remember_bought(world, users[depth == 3], items[depth == 3], seconds[depth == 3])
        minds.see(users, items, world.catalogue)
        visits.append(Visits(users, items, seconds, opens, depth, affinity))
        after.append(minds.of(users))
    joined = Visits(*(np.concatenate(parts) for parts in zip(*visits, strict=True)))
    order = np.lexsort((joined.seconds, joined.users))
    states = Minds.joined([*after, Minds.blank(1, world.catalogue)])
    return Visits(*(part[order] for part in joined)), states.of(np.append(order, len(order)))


def funnel_depth(rng: np.random.Generator, affinity: np.ndarray) -> np.ndarray:
    """[B] 0 browse only, 1 click, 2 cart, 3 buy: each step needs the one before it."""
    chances = np.stack([0.2 + 0.5 * affinity, 0.25 + 0.3 * affinity, np.full(len(affinity), 0.6)])
    return np.cumprod(rng.random(chances.shape) < chances, axis=0).sum(axis=0)


def _remember_bought(
    world: World, users: np.ndarray, items: np.ndarray, seconds: np.ndarray
) -> None:
    """Note first purchases, from the moment that the purchase event is logged."""
    world.first_bought[users, items] = np.minimum(
        world.first_bought[users, items], seconds + DELAYS[3]
    )
