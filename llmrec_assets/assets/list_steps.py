"""How the lists of stage 6 are made from whoever serves.

Imports torch: assets import this module in their bodies only.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import dagster as dg
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from llmrec_assets.assets import scoring_steps
from llmrec_assets.assets.model_inputs import Inputs, read_inputs
from llmrec_assets.core.blocks import rows_of_lists
from llmrec_assets.core.content import TextSimilarity
from llmrec_assets.core.exploration import explored_slots
from llmrec_assets.core.item_traits import ItemTraits
from llmrec_assets.core.lists import Hidden, Lists, ListSettings, list_id, make_lists
from llmrec_assets.core.parallel import MapMade, here
from llmrec_assets.core.ranking import Scorer
from llmrec_assets.core.recommender import Recommender
from llmrec_assets.core.sequences import Sequences
from llmrec_assets.resources.arrays import Arrays
from llmrec_assets.resources.publisher import SCHEMA, Publisher
from llmrec_assets.resources.registry import Registry
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.sql.training_data import TrainingData

if TYPE_CHECKING:
    from llmrec_assets.assets.s6_recommendations import RecommendationsConfig


@dataclass(frozen=True)
class Serving:
    """Whoever serves, fitted on all events."""

    scorer: Scorer
    version: str
    inputs: Inputs  # what it reads
    source: Literal["model", "fallback"]  # of its rows

    @property
    def data(self) -> TrainingData:
        """All events."""
        return self.inputs.final


@dataclass(frozen=True)
class Material:
    """What lists are made of."""

    serving: Serving
    users: list[str]
    sequences: Sequences  # of all `users`
    hidden: Hidden
    settings: ListSettings
    list_ids: list[str]
    generated_at: datetime  # UTC, without zone


@dataclass(frozen=True)
class PublishedLists:
    """A written but not yet published file of lists."""

    partial: Path
    model_version: str
    users: int
    items_through: int  # newest ingestion sequence number of the items
    events_through: int  # newest ingestion sequence number of the events
    sources: dict[str, int]
    explored_slots: int  # of a list
    hidden: int  # pairs of user and item that are not shown
    made_of: Material

    def metadata(self) -> dict[str, Any]:
        """What the materialisation shows of it."""
        return {
            "model_version": self.model_version,
            "users": self.users,
            "items_through": self.items_through,
            "events_through": self.events_through,
            "rows_by_source": self.sources,
            "explored_slots": self.explored_slots,
            "hidden_items": self.hidden,
        }


def make(
    decision: dict[str, Any],
    users: list[str],
    hidden: pd.DataFrame,
    config: "RecommendationsConfig",
    warehouse: Warehouse,
    arrays: Arrays,
    registry: Registry,
    publisher: Publisher,
    map_made: MapMade = here,
) -> PublishedLists:
    """Write the lists of all `users` (ids in order) to a partial file.

    `hidden` has columns user_id and item_id: what a user wants no more of.
    """
    serving = serving_scorer(decision, warehouse, arrays, registry)
    material, data = _material(serving, users, hidden, config), serving.data
    names = {
        "users": np.array(users, dtype=object),
        "items": np.array(data.items, dtype=object),
        "lists": np.array(material.list_ids, dtype=object),
    }
    sources = Counter()
    with publisher.partial() as (path, writer):
        for block in make_lists(
            serving.scorer,
            material.sequences,
            material.list_ids,
            material.settings,
            material.hidden,
            rows_of_lists(data.catalogue.n_items),
            ItemTraits.of(item_vectors(serving)) if config.diversity else None,
            map_made,
        ):
            table = _table(block, names, serving.source, serving.version, material.generated_at)
            sources.update(table["source"].to_pylist())
            writer.write_table(table)
    return PublishedLists(
        path,
        serving.version,
        len(users),
        data.items_through,
        data.through,
        dict(sorted(sources.items())),
        explored_slots(config.top_k, config.exploration),
        len(material.hidden.items),
        material,
    )


def item_vectors(serving: Serving) -> np.ndarray:
    """The vectors that the scorer compares items by, else those it would: float32 [V+1, D]."""
    scorer, data = serving.scorer, serving.data
    if isinstance(scorer, Recommender) and "texts" in scorer.experts.prior:
        return scorer.experts.prior["texts"].vectors.numpy()  # pyright: ignore
    catalogue = data.catalogue
    if not len(catalogue.embeddings):
        return np.zeros((catalogue.n_items + 1, 0), dtype=np.float32)
    trained = np.bincount(data.sequences.items, minlength=catalogue.n_items + 1) > 0
    return TextSimilarity(catalogue, trained).vectors.numpy()


def _material(
    serving: Serving, users: list[str], hidden: pd.DataFrame, config: "RecommendationsConfig"
) -> Material:
    settings = ListSettings(
        config.top_k, config.exclude_seen, config.exploration, config.seed, config.temperature,
        config.diversity,
    )  # fmt: skip
    data, excluded = serving.data, hidden_codes(hidden, users, serving.data.items)
    ids = [
        list_id(
            user,
            serving.version,
            data.fingerprint,
            settings,
            [data.items[code - 1] for code in excluded.of_user(place).tolist()],
        )
        for place, user in enumerate(users)
    ]
    now = datetime.now(UTC).replace(tzinfo=None)
    return Material(serving, users, with_users(data, users), excluded, settings, ids, now)


def hidden_codes(hidden: pd.DataFrame, users: list[str], items: list[str]) -> Hidden:
    """The pairs in codes; those of an unknown user or item hide nothing."""
    owners = pd.Index(users, dtype=object).get_indexer(pd.Index(hidden["user_id"], dtype=object))
    codes = pd.Index(items, dtype=object).get_indexer(pd.Index(hidden["item_id"], dtype=object)) + 1
    known = (owners >= 0) & (codes > 0)
    return Hidden.of(len(users), owners[known].astype(np.int64), codes[known].astype(np.int64))


def serving_scorer(
    decision: dict[str, Any], warehouse: Warehouse, arrays: Arrays, registry: Registry
) -> Serving:
    """Whoever serves, fitted on all events.

    Raises:
        dagster.Failure: the champion cannot read the texts as they are encoded now.
    """
    if decision["kind"] == "model":
        package = registry.load(decision["served"])
        info = package.info
        inputs = read_inputs(
            warehouse, arrays, info.scaling, ("final",), info.statistics_version, info.encoder
        )
        unread = scoring_steps.incomparable(package, inputs)
        if unread and scoring_steps.reads_texts(package):
            raise dg.Failure(f"{info.version} cannot rank: {unread}; launch the job retrain")
        scorer = scoring_steps.scorer_of(
            package, "final", inputs.final, inputs.final.sequences.offsets[1:]
        )
        return Serving(scorer, info.version, inputs, "model")
    inputs = read_inputs(warehouse, arrays, "z-score", ("final",))
    data, name = inputs.final, decision["served"]
    scorer = scoring_steps.baselines([name], data, data.sequences.offsets[1:])[name]
    return Serving(scorer, f"{name}-{data.fingerprint[:8]}", inputs, "fallback")


def with_users(data: TrainingData, users: list[str]) -> Sequences:
    """The sequences of `users`, a superset of the data's users in the same order of ids."""
    known = set(data.users)
    lengths = np.zeros(len(users), dtype=np.int64)
    lengths[[user in known for user in users]] = np.diff(data.sequences.offsets)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return Sequences(**{**vars(data.sequences), "offsets": offsets})


def _table(
    block: Lists, names: dict[str, np.ndarray], source: str, version: str, now: datetime
) -> pa.Table:
    sources = np.where(block.explored, "exploration", np.where(block.repeated, "fallback", source))
    n = len(block.users)
    return pa.table(
        {
            "list_id": names["lists"][block.users],
            "user_id": names["users"][block.users],
            "rank": block.ranks,
            "item_id": names["items"][block.codes - 1],
            "score": block.scores,
            "probability": block.probabilities,
            "propensity": block.propensities,
            "source": sources,
            "model_version": pa.array([version] * n, pa.string()),
            "generated_at": pa.array([now] * n, pa.timestamp("us")),
        },
        schema=SCHEMA,
    )


def read_list(path: Path, user_id: str) -> pa.Table:
    """One user's published list; empty for an unknown user."""
    return pq.read_table(path, filters=[("user_id", "=", user_id)])
