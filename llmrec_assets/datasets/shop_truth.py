"""The hidden truth of the generated shop: why a user looks at one item rather than another.

The utility of an item to a user at a time is a sum of six parts, weighed below:

- taste: the user's taste vector, which drifts from week to week, times the item's vector;
- need: what earlier items made wanted, such as a case after a phone, until it was looked at;
- mood: the style (theme and quality words) of what was looked at lately;
- partner: items that go with the last item in particular, less those looked at lately;
- season: how near the month is to the peak of the category;
- repeat: a consumable bought two weeks ago or longer is wanted again, another good is not.

The generator visits items with probability softmax(utility); `Truth.affinity` is the sigmoid of
the same utility, so that what users do in the log and how they answer a list agree.
"""

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd

from llmrec_assets.datasets.shop_catalogue import Catalogue
from llmrec_assets.datasets.shop_words import CATEGORIES

START = pd.Timestamp("2025-01-01T00:00:00Z")
DAYS = 365
DAY, WEEK = 86_400, 7 * 86_400  # seconds

TASTE, NEED, MOOD, PARTNER, SEASON = 5.5, 2.8, 4.5, 0.7, 1.5
AGAIN, BOUGHT, SEEN_LATELY = 2.5, -2.0, -3.0
RECENT = 8  # items that a user remembers having looked at
REPEAT_AFTER = 14 * DAY
NEED_KEPT, MOOD_KEPT = 0.75, 0.6  # share of a need and of a mood that is left one visit later
SATISFIED = 0.25  # share of a need that is left once such a good was looked at
EVEN_CHANCE = 8.0  # the utility of an item that is clicked every second time it is examined


@dataclass
class Minds:
    """What U users have in mind: the state that their visits leave behind."""

    need: np.ndarray  # [U, T]
    mood: np.ndarray  # [U, D]
    recent: np.ndarray  # [U, RECENT] items looked at, the last one first; -1 where there is none

    @classmethod
    def blank(cls, users: int, catalogue: Catalogue) -> "Minds":
        """Users who have not looked at anything yet."""
        return cls(
            need=np.zeros((users, len(catalogue.follows))),
            mood=np.zeros((users, catalogue.styles.shape[1])),
            recent=np.full((users, RECENT), -1),
        )

    @classmethod
    def joined(cls, parts: list["Minds"]) -> "Minds":
        """The rows of `parts`, one after the other."""
        return cls(
            need=np.concatenate([part.need for part in parts]),
            mood=np.concatenate([part.mood for part in parts]),
            recent=np.concatenate([part.recent for part in parts]),
        )

    def of(self, rows: np.ndarray) -> "Minds":
        """A copy of some rows."""
        return Minds(self.need[rows], self.mood[rows], self.recent[rows])

    def see(self, rows: np.ndarray, items: np.ndarray, catalogue: Catalogue) -> None:
        """The users `rows` look at `items`, one each."""
        types = catalogue.types[items]
        self.need[rows] *= NEED_KEPT
        self.need[rows, types] *= SATISFIED
        self.need[rows] += catalogue.follows[types]
        np.minimum(self.need, 1.0, out=self.need)  # one is as much as anything is wanted
        self.mood[rows] = MOOD_KEPT * self.mood[rows] + (1 - MOOD_KEPT) * catalogue.styles[items]
        self.recent[rows, 1:] = self.recent[rows, :-1]
        self.recent[rows, 0] = items


def season_of(categories: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """[B, I] how near each time is to the peak of each item's category, 0 to 1.

    `seconds` [B] are epoch seconds; a distance of about 6 weeks halves the season.
    """
    months = (seconds - START.timestamp()) / DAY % 365.25 / 365.25 * 12 + 0.5  # January's middle: 1
    peaks = np.array([category.peak_month for category in CATEGORIES])[categories]
    distance = np.abs(months[:, None] - peaks[None, :])
    distance = np.minimum(distance, 12 - distance)
    return np.exp(-0.5 * (distance / 1.2) ** 2)


@dataclass(frozen=True)
class World:
    """What is hidden: the catalogue, tastes by week and what each user bought first when."""

    catalogue: Catalogue
    tastes: np.ndarray  # [weeks, U, D]
    first_bought: np.ndarray  # [U, I] epoch seconds, inf where never

    def utilities(self, users: np.ndarray, minds: Minds, seconds: np.ndarray) -> np.ndarray:
        """[B, I] the utility of every item to `users` [B], as minded in `minds`, at `seconds`."""
        goods = self.catalogue
        weeks = ((seconds - START.timestamp()) // WEEK).astype(int).clip(0, len(self.tastes) - 1)
        total = TASTE * self.tastes[weeks, users] @ goods.vectors.T + goods.popularity
        total += NEED * minds.need[:, goods.types] + MOOD * minds.mood @ goods.styles.T
        total += SEASON * season_of(goods.categories, seconds)
        row, place = np.nonzero(minds.recent >= 0)
        np.add.at(total, (row, minds.recent[row, place]), SEEN_LATELY)
        row = row[place == 0]
        total[row] += PARTNER * goods.partners[minds.recent[row, 0]]
        return total + self._repeat(users, seconds)

    def _repeat(self, users: np.ndarray, seconds: np.ndarray) -> np.ndarray:
        age = seconds[:, None] - self.first_bought[users]  # -inf where never bought
        again = np.where(age > REPEAT_AFTER, AGAIN, 0.0)
        return np.where(self.catalogue.consumable, again, np.where(age > 0, BOUGHT, 0.0))


def click_probability(utility: np.ndarray) -> np.ndarray:
    """The chance, 0 to 1, that an item of this utility is clicked once it is examined."""
    return 1.0 / (1.0 + np.exp(EVEN_CHANCE - utility))


@dataclass(frozen=True)
class Truth:
    """The truth that the simulator of responses may ask; the pipeline never sees it.

    A user is in the state that the generated log had left just before the time asked for;
    responses that came back later do not change it.
    """

    world: World
    user_ids: np.ndarray  # [U]
    visit_users: np.ndarray  # [V] sorted by user, then by time
    visit_seconds: np.ndarray  # [V] epoch seconds
    minds: Minds  # [V] after each visit, and a last blank row

    def affinity(
        self, users: np.ndarray, items: np.ndarray, time: datetime | pd.Timestamp | np.ndarray
    ) -> np.ndarray:
        """[N] chance, 0 to 1, that each user clicks the item in the same place once it is seen.

        `users` and `items` [N] are ids; `time` is one moment or N of them, UTC where it has no
        zone. A user the shop does not know gets 0 for everything, and so does an unknown item.
        """
        rows = pd.Index(self.user_ids).get_indexer(pd.Index(users, dtype=object))
        columns = pd.Index(self.world.catalogue.ids).get_indexer(pd.Index(items, dtype=object))
        seconds = np.broadcast_to(_epoch_seconds(time), len(columns))
        utility = np.full(len(columns), -np.inf)
        known = (rows >= 0) & (columns >= 0)
        asked = np.stack([rows[known], seconds[known]], axis=1)
        moments, place = np.unique(asked, axis=0, return_inverse=True)
        every = self._utilities(moments[:, 0].astype(int), moments[:, 1])
        utility[known] = every[place.reshape(-1), columns[known]]
        return click_probability(utility)

    def _utilities(self, users: np.ndarray, seconds: np.ndarray) -> np.ndarray:
        """[B, I] in the state that the last visit before `seconds` had left."""
        span = 4e9  # seconds: more than any time, so that one number orders users and times
        rows = np.searchsorted(
            self.visit_users * span + self.visit_seconds, users * span + seconds, side="left"
        )
        before = rows - 1
        own = (before >= 0) & (self.visit_users[before] == users)
        return self.world.utilities(users, self.minds.of(np.where(own, before, -1)), seconds)


def _epoch_seconds(time: datetime | pd.Timestamp | np.ndarray) -> np.ndarray:
    stamps = pd.to_datetime(np.atleast_1d(np.asarray(time)), utc=True)
    return (stamps - pd.Timestamp(0, tz="UTC")).total_seconds().to_numpy()
