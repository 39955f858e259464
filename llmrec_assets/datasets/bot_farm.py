"""A bot farm: accounts that were made to push one item of a shop, and the batch of their events."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from llmrec_assets.datasets.shop_events import FUNNEL

PUSHED = ("browse", "click", "cart", "buy")  # of every visit to the pushed item
SECONDS_A_STEP = 20


@dataclass(frozen=True)
class Farm:
    """How hard it pushes. Each account stays far below any daily limit."""

    share: float = 0.1  # accounts, of the shop's own users
    visits: int = 25  # of an account, all in one week
    camouflage: float = 0.3  # share of the visits that go to items drawn at random


def poisoned_batch(
    farm: Farm, item_ids: np.ndarray, pushed: str, n_users: int, begins: pd.Timestamp, seed: int
) -> pd.DataFrame:
    """The farm's events of the week from `begins`, in the columns of the landing file.

    Args:
        farm: how hard it pushes.
        item_ids: [I], of the shop.
        pushed: the item that every account visits most.
        n_users: the shop's own.
        begins: UTC.
        seed: of times and camouflage.
    """
    rng = np.random.default_rng([seed, 13])
    accounts = np.repeat(np.arange(max(1, round(farm.share * n_users))), farm.visits)
    hidden = rng.random(len(accounts)) < farm.camouflage
    items = np.where(hidden, rng.choice(item_ids, len(accounts)), pushed)
    starts = rng.uniform(0, 6.9 * 86_400, len(accounts))
    steps = len(PUSHED)
    seconds = np.repeat(starts, steps) + np.tile(SECONDS_A_STEP * np.arange(steps), len(starts))
    moments = begins + pd.to_timedelta(np.floor(seconds), unit="s")
    frame = pd.DataFrame({
        "event_id": [f"farm-{number:06d}" for number in range(len(seconds))],
        "user_id": [f"bot{account:04d}" for account in np.repeat(accounts, steps)],
        "item_id": np.repeat(items, steps),
        "timestamp": moments.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "behavior": np.tile(np.array(PUSHED, dtype=object), len(starts)),
    })  # fmt: skip
    only_looked = np.repeat(hidden, steps) & (frame["behavior"] != FUNNEL[0]).to_numpy()
    return frame[~only_looked].sort_values("timestamp", kind="stable", ignore_index=True)
