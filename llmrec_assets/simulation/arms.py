"""What each way to recommend would be worth to the users now: true utilities of lists.

The lists of all arms are for the same users at the same moment, without what a user has seen or
hidden, so that they differ in nothing but who ranks:

| arm | who ranks |
|---|---|
| `loop` | whoever serves: the published file, explored slots and all |
| `frozen` | who served first: its weights and its counts of then, over the newest histories |
| `refreshed` | who served first: its weights, with everything counted anew |
| `popularity`, `recent_popularity` | how often all users took an item, of late or ever |
| `oracle` | the truth |

Imports torch.
"""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
import torch

from llmrec_assets.assets import list_steps, scoring_steps
from llmrec_assets.assets.model_inputs import read_inputs
from llmrec_assets.core.behaviors import hiding
from llmrec_assets.core.config import Baseline
from llmrec_assets.core.lists import Hidden, ListSettings, make_lists
from llmrec_assets.core.ranking import Scorer
from llmrec_assets.datasets.choices import examination
from llmrec_assets.datasets.drifting_shop import DriftingShop
from llmrec_assets.layout import Layout
from llmrec_assets.resources.wiring import resources_of
from llmrec_assets.sql import s5_off_policy as events_sql
from llmrec_assets.sql import s6_recommendations as lists_sql
from llmrec_assets.sql.training_data import TrainingData

POPULARITY: list[Baseline] = ["popularity", "recent_popularity"]


class Oracle:
    """A `Scorer` that ranks by the truth."""

    def __init__(self, liking: np.ndarray, data: TrainingData, shop: DriftingShop) -> None:
        """`liking` is [users, items] of the shop; a user of no shop gets one order for all."""
        rows, _ = shop.places(data.users, [])
        _, columns = shop.places([], data.items)
        logs = np.where(rows[:, None] >= 0, np.log(liking[rows][:, columns]), -1.0)
        self.logs = torch.nn.functional.pad(torch.from_numpy(logs), (1, 0), value=-torch.inf)

    def logits(self, sequences: Any, ends: np.ndarray, users: np.ndarray) -> torch.Tensor:  # noqa: ANN401
        """[B, V+1]."""
        return self.logs[torch.from_numpy(users)].float()


@dataclass(frozen=True)
class First:
    """Who served first, and through which event it was trained."""

    kind: str
    served: str
    through: int


def lists_of_arms(
    layout: Layout, shop: DriftingShop, week: int, top_k: int, first: First
) -> dict[str, pd.DataFrame]:
    """The lists of every arm that ranks now, but the loop's: columns user_id, item_id, rank."""
    resources = resources_of(layout)
    warehouse, arrays = resources["warehouse"], resources["arrays"]
    with warehouse.connect() as connection:
        behaviors = resources["behavior_dictionary"].load()
        hidden = lists_sql.hidden_items(connection, hiding(behaviors))
        seqs = events_sql.event_seqs(connection).to_numpy()
    if first.kind == "model":
        package = resources["registry"].load(first.served)
        info = package.info
        data = read_inputs(
            warehouse, arrays, info.scaling, ("final",), info.statistics_version, info.encoder
        ).final
        then, now = _known(data, seqs, first.through), data.sequences.offsets[1:]
        frozen = scoring_steps.scorer_of(package, "final", data, then)
        refreshed = scoring_steps.scorer_of(package, "final", data, now)
    else:
        name = cast(Baseline, first.served)
        data = read_inputs(warehouse, arrays, "z-score", ("final",)).final
        then, now = _known(data, seqs, first.through), data.sequences.offsets[1:]
        frozen, refreshed = (scoring_steps.baselines([name], data, e)[name] for e in (then, now))
    scorers: dict[str, Scorer] = {
        "frozen": frozen,
        "refreshed": refreshed,
        **scoring_steps.baselines(POPULARITY, data, now),
        "oracle": Oracle(shop.liking(week), data, shop),
    }
    excluded = list_steps.hidden_codes(hidden, data.users, data.items)
    return {name: _ranked(scorer, data, excluded, top_k) for name, scorer in scorers.items()}


def _known(data: TrainingData, seqs: np.ndarray, through: int) -> np.ndarray:
    """Position after the last event of each user up to number `through`: those before are older."""
    offsets = data.sequences.offsets
    counted = np.concatenate([[0], np.cumsum(seqs <= through)])
    return offsets[:-1] + counted[offsets[1:]] - counted[offsets[:-1]]


def _ranked(scorer: Scorer, data: TrainingData, hidden: Hidden, top_k: int) -> pd.DataFrame:
    settings = ListSettings(top_k=top_k, exclude_seen=True, exploration=0.0, seed=0)
    blocks = list(make_lists(scorer, data.sequences, data.users, settings, hidden))
    users, codes, ranks = (
        np.concatenate([getattr(block, name) for block in blocks])
        for name in ("users", "codes", "ranks")
    )
    return pd.DataFrame({
        "user_id": np.array(data.users, dtype=object)[users],
        "item_id": np.array(data.items, dtype=object)[codes - 1],
        "rank": ranks,
    })  # fmt: skip


def utility(lists: pd.DataFrame, shop: DriftingShop, week: int) -> float:
    """Expected wanted clicks on a list, mean over the shop's users: attention times liking."""
    users, items = shop.places(lists["user_id"], lists["item_id"])
    own = users >= 0
    attention = examination(lists["rank"].to_numpy()[own], shop.parameters.position_bias)
    worth = attention * shop.liking(week)[users[own], items[own]]
    return float(worth.sum() / len(shop.user_ids))


def exposure(lists: pd.DataFrame, shop: DriftingShop) -> dict[str, float]:
    """Item → share of the attention of the shop's users that the lists give it."""
    own = lists[shop.places(lists["user_id"], [])[0] >= 0]
    attention = examination(own["rank"].to_numpy(), shop.parameters.position_bias)
    given = pd.Series(attention).groupby(own["item_id"].to_numpy()).sum()
    return (given / given.sum()).round(6).to_dict()
