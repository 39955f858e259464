"""A shop whose users' tastes drift, and change at once in the middle: the truth of `loop_utility`.

Everything follows from the parameters and the seed. What a user wants is a direction among the
hidden vectors of the items: a part of its own, and a part that everybody shares, which is in vogue.
Both walk a little from week to week. At one moment the vogue turns and some users come to like
something else. The log before the first lists, later visits without a list and the answers to
lists all follow from that truth; the loop sees nothing else of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from zlib import crc32

import numpy as np
import pandas as pd

from llmrec_assets.datasets.shop import funnel_depth
from llmrec_assets.datasets.shop_catalogue import Catalogue, make_catalogue
from llmrec_assets.datasets.shop_events import Visits, events_of
from llmrec_assets.datasets.shop_truth import WEEK

START = pd.Timestamp("2025-01-06T00:00:00Z")
Ids = Sequence[str] | np.ndarray | pd.Series
VISIT_SECONDS = 180  # a visit's events end within it


@dataclass(frozen=True)
class Parameters:
    """What the truth is like. A cycle is a week; its lists are shown when the week begins."""

    users: int
    items: int
    weeks: int  # of the log before the first lists
    visits: float  # of a user in all of it, mean; at least 4
    organic: float  # of a user in a later week, without a list, mean
    taste: float  # utility of an item that is just what a user wants
    vogue: float  # of what everybody wants, beside a taste of its own of length 1
    step: float  # of the walk of both a week, in each dimension
    popularity: float  # spread of what else makes items wanted, by everybody and always
    turns: int  # the first cycle after the change
    movers: float  # share of the users who then like something else
    even_chance: float  # the utility of an item that is clicked every second time it is looked at
    careless: float  # share of looks that end in a click whatever the item
    position_bias: float  # how quickly attention falls with the rank


# The loop may be tuned on the first; on the second it is only measured. The third is for a look.
PARAMETERS = {
    "tuning": Parameters(
        users=300, items=600, weeks=12, visits=20.0, organic=1.0, taste=12.0, vogue=0.5, step=0.02,
        popularity=0.4, turns=4, movers=0.3, even_chance=7.5, careless=0.01, position_bias=0.15,
    ),
    "held_out": Parameters(
        users=250, items=500, weeks=9, visits=18.0, organic=1.5, taste=11.0, vogue=0.6, step=0.03,
        popularity=0.6, turns=4, movers=0.5, even_chance=6.5, careless=0.02, position_bias=0.25,
    ),
    "quick": Parameters(
        users=40, items=60, weeks=4, visits=8.0, organic=1.0, taste=10.0, vogue=0.5, step=0.02,
        popularity=0.4, turns=2, movers=0.5, even_chance=5.0, careless=0.01, position_bias=0.15,
    ),
}  # fmt: skip


class DriftingShop:
    """The truth, and what happens without lists. Weeks count from the start of the log."""

    def __init__(self, parameters: Parameters, seed: int) -> None:
        """Raises ValueError where the words do not make so many distinct titles."""
        self.parameters, self.seed = parameters, seed
        self.catalogue: Catalogue = make_catalogue(self._rng("catalogue"), parameters.items)
        self.user_ids = np.array([f"u{user:05d}" for user in range(parameters.users)], dtype=object)
        self._tastes: list[np.ndarray] = []  # [U, D] of each week so far
        own = self._likings("tastes", parameters.users)
        self._walk = (own, self._likings("vogue", 1, favourites=1))

    @property
    def items(self) -> pd.DataFrame:
        """The catalogue in the columns of the landing file."""
        return self.catalogue.frame

    def week(self, cycle: int) -> int:
        """The week whose beginning shows the lists of a cycle."""
        return self.parameters.weeks + cycle

    def begins(self, week: int) -> pd.Timestamp:
        """UTC."""
        return START + pd.Timedelta(weeks=week)

    def tastes(self, week: int) -> np.ndarray:
        """[U, D] what each user wants in that week; length 1."""
        while len(self._tastes) <= week:
            self._tastes.append(self._next(len(self._tastes)))
        return self._tastes[week]

    def liking(self, week: int) -> np.ndarray:
        """[U, I] the chance that a user who looks at an item clicks it because it is wanted."""
        return self._wanted(self._utility(week))

    def affinity(
        self, users: np.ndarray, items: np.ndarray, time: datetime | pd.Timestamp | np.ndarray
    ) -> np.ndarray:
        """[N] the chance, 0 to 1, of any click once the item is looked at.

        `users` and `items` [N] are ids; `time` is one moment, UTC where it has no zone. A user or
        an item that the shop does not know gets 0.
        """
        moment = pd.to_datetime(pd.Timestamp(time), utc=True)  # pyright: ignore
        liking = self.liking(int((moment - START) // pd.Timedelta(weeks=1)))
        rows, columns = self.places(users, items)
        known = (rows >= 0) & (columns >= 0)
        careless = self.parameters.careless
        chance = careless + (1 - careless) * liking[rows, columns]
        return np.where(known, chance, 0.0)

    def places(self, users: Ids, items: Ids) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of ids in the arrays; -1 for an unknown one."""
        return _places(self.user_ids, users), _places(self.catalogue.ids, items)

    def log(self) -> pd.DataFrame:
        """The events before the first lists, in the columns of the landing file."""
        rng, weeks = self._rng("log"), self.parameters.weeks
        counts = np.maximum(4, rng.poisson(self.parameters.visits, len(self.user_ids)))
        users = np.repeat(np.arange(len(counts)), counts)
        return self._visited(rng, users, rng.uniform(0, weeks, len(users)))

    def organic(self, week: int) -> pd.DataFrame:
        """The events that come without a list in one week, in the columns of the landing file."""
        rng = self._rng(f"organic {week}")
        counts = rng.poisson(self.parameters.organic, len(self.user_ids))
        users = np.repeat(np.arange(len(counts)), counts)
        return self._visited(rng, users, week + rng.uniform(0.1, 1, len(users)))

    def _visited(
        self, rng: np.random.Generator, users: np.ndarray, when: np.ndarray
    ) -> pd.DataFrame:
        """Users [V] visit an item each at `when` [V], in weeks, chosen by softmax(utility)."""
        utilities = np.empty((len(users), len(self.catalogue.ids)))
        for week in np.unique(when.astype(int)):
            then = when.astype(int) == week
            utilities[then] = self._utility(int(week))[users[then]]
        items = np.argmax(utilities + rng.gumbel(size=utilities.shape), axis=1)
        affinity = self._wanted(utilities[np.arange(len(users)), items])
        seconds = np.floor(START.timestamp() + when * WEEK - VISIT_SECONDS)
        opens = np.ones(len(users), dtype=bool)
        depth = funnel_depth(rng, affinity)
        order = np.lexsort((seconds, users))
        visits = Visits(users, items, seconds, opens, depth, affinity)
        visits = Visits(*(part[order] for part in visits))
        events = events_of(rng, visits, self.user_ids, self.catalogue.ids)
        prefix = f"w{int(when.min()):03d}-"
        for column in ("event_id", "session_id"):
            events[column] = prefix + events[column]
        return events

    def _utility(self, week: int) -> np.ndarray:
        """[U, I] of every item for every user."""
        own = self.parameters.taste * self.tastes(week) @ self.catalogue.vectors.T
        return own + self._popularity

    @cached_property
    def _popularity(self) -> np.ndarray:
        """[I]."""
        spread = self.parameters.popularity
        return self._rng("popularity").normal(0.0, spread, len(self.catalogue.ids))

    def _wanted(self, utility: np.ndarray) -> np.ndarray:
        """The chance that what is looked at is clicked because of its utility."""
        return 1.0 / (1.0 + np.exp(self.parameters.even_chance - utility))

    def _next(self, week: int) -> np.ndarray:
        own, vogue = self._walk
        if week == self.week(self.parameters.turns):
            moved = self._rng("movers").random(len(own)) < self.parameters.movers
            own = np.where(moved[:, None], self._likings("new tastes", len(own)), own)
            vogue = self.catalogue.vectors[np.argmin(self.catalogue.vectors @ vogue[0])][None]
        rng = self._rng(f"walk {week}")
        own = _unit(own + rng.normal(0.0, self.parameters.step, own.shape))
        vogue = _unit(vogue + rng.normal(0.0, self.parameters.step, vogue.shape))
        self._walk = (own, vogue)
        return _unit(own + self.parameters.vogue * vogue)

    def _likings(self, name: str, n: int, favourites: int = 3) -> np.ndarray:
        """[n, D] directions of length 1, each the middle of a few items."""
        vectors = self.catalogue.vectors
        chosen = self._rng(name).integers(len(vectors), size=(n, favourites))
        return _unit(vectors[chosen].sum(axis=1))

    def _rng(self, name: str) -> np.random.Generator:
        """A stream of its own for each name, so that nothing depends on what is asked first."""
        return np.random.default_rng([self.seed, crc32(name.encode())])


def _places(known: np.ndarray, ids: Ids) -> np.ndarray:
    return pd.Index(known).get_indexer(pd.Index(np.asarray(ids, dtype=object)))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
