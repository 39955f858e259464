"""From the visits of the generated shop to the events its log records."""

from typing import NamedTuple

import numpy as np
import pandas as pd

FUNNEL = ("browse", "click", "cart", "buy")
DELAYS = np.array([0, 12, 45, 100])  # seconds after the start of a visit; visits are 180 s apart
LIKE_DELAY, RATE_SHARE, LIKE_SHARE = 130, 0.3, 0.12


class Visits(NamedTuple):
    """V looks of users at items: indices, not ids."""

    users: np.ndarray
    items: np.ndarray
    seconds: np.ndarray  # epoch
    opens: np.ndarray  # whether the visit opens a session
    depth: np.ndarray  # the last step of `FUNNEL` that was taken
    affinity: np.ndarray  # 0 to 1


def events_of(
    rng: np.random.Generator, visits: Visits, user_ids: np.ndarray, item_ids: np.ndarray
) -> pd.DataFrame:
    """The log in the columns of the landing file, in order of time; `visits` are sorted by user.

    A buyer in three rates (1 to 5, higher for a higher affinity), and browsing has dwell seconds
    as `value`, longer for a higher affinity.
    """
    visit, step = np.nonzero(np.arange(len(FUNNEL)) <= visits.depth[:, None])
    likes = np.flatnonzero((rng.random(len(visits.depth)) < LIKE_SHARE) & (visits.depth >= 1))
    visit = np.concatenate([visit, likes])
    behavior = np.concatenate([np.array(FUNNEL)[step], np.full(len(likes), "like")])
    delay = np.concatenate([DELAYS[step], np.full(len(likes), LIKE_DELAY)])
    users, affinity = visits.users[visit], visits.affinity[visit]
    stars = np.rint(2.2 + 2.8 * affinity + rng.normal(0, 0.7, len(visit))).clip(1, 5)
    rated = (behavior == "buy") & (rng.random(len(visit)) < RATE_SHARE)
    dwell = (rng.lognormal(2.3, 0.5, len(visit)) * (1 + 2 * affinity)).round(1)
    seconds = (visits.seconds[visit] + delay).astype("int64")
    frame = pd.DataFrame({
        "user_id": user_ids[users],
        "item_id": item_ids[visits.items[visit]],
        "timestamp": pd.to_datetime(seconds, unit="s").strftime("%Y-%m-%dT%H:%M:%SZ"),
        "behavior": behavior,
        "rating": pd.array(np.where(rated, stars, np.nan), dtype="Int64"),
        "value": np.where(behavior == "browse", dwell, np.nan),
        "session_id": _session_ids(visits, user_ids)[visit],
    })  # fmt: skip
    frame = frame.iloc[np.lexsort((users, seconds))].reset_index(drop=True)
    frame.insert(0, "event_id", [f"e{number:06d}" for number in range(1, len(frame) + 1)])
    return frame


def _session_ids(visits: Visits, user_ids: np.ndarray) -> np.ndarray:
    """[V] such as `u00017-s003`, counted from each user's first session."""
    number = pd.Series(visits.opens).groupby(visits.users).cumsum().astype(int)
    names = zip(user_ids[visits.users], number, strict=True)
    return np.array([f"{user}-s{session:03d}" for user, session in names], dtype=object)
