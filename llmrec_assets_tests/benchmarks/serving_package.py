"""A package of made-up histories with the default model, as large as asked.

The cost of a list hangs on sizes, not on what weights have learnt: the network is untrained and the
reranker at its start. Titles, embeddings and histories are random, popular items the likelier.
"""

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from llmrec_assets import published
from llmrec_assets.core.behaviors import DEFAULT_BEHAVIORS
from llmrec_assets.core.candidates import feature_names
from llmrec_assets.core.config import ModelConfig
from llmrec_assets.core.encoding import HASHED_VOCABULARY
from llmrec_assets.core.lists import Hidden, ListSettings, make_lists
from llmrec_assets.core.networks.model import NextItemModel
from llmrec_assets.core.new_events import NUMERIC, ItemFacts, Scales
from llmrec_assets.core.online import Snapshot, StepTexts
from llmrec_assets.core.recommender import Weights, make_experts
from llmrec_assets.core.reranker import Reranker
from llmrec_assets.core.sequences import Catalogue, Sequences
from llmrec_assets.layout import Layout

EVENTS, WIDTH, WORDS, BEHAVIORS = 20, 512, 8, ["view", "buy", "like"]
LISTED = 2_000  # users with a published list of their own; enough for the canary


def histories(n_items: int, n_users: int, rng: np.random.Generator) -> Sequences:
    """`EVENTS` events of every user; an item's chance falls with its place (Zipf)."""
    n = n_users * EVENTS
    chances = 1 / (np.arange(n_items) + 10.0) ** 0.8
    items = rng.choice(n_items, n, p=chances / chances.sum()) + 1
    starts = rng.integers(1_600_000_000, 1_700_000_000, n_users)
    gaps = rng.integers(60, 100_000, (n_users, EVENTS))
    return Sequences(
        offsets=np.arange(n_users + 1, dtype=np.int64) * EVENTS,
        items=items.astype(np.int32),
        behaviors=rng.integers(1, 4, n).astype(np.int16),
        text_rows=(items - 1).astype(np.int32),
        numeric=rng.standard_normal((n, len(NUMERIC)), dtype=np.float32),
        times=(starts[:, None] + gaps.cumsum(1)).ravel().astype(np.int64) * 1_000_000,
        positive=np.ones(n, dtype=bool),
        weights=np.ones(n, dtype=np.float32),
    )


def catalogue_of(n_items: int, rng: np.random.Generator) -> Catalogue:
    """Items with random embeddings, and words of which some are common and most are rare."""
    words = (rng.pareto(0.6, n_items * WORDS) * 50).astype(np.int64) % HASHED_VOCABULARY
    rows = np.sort(words.reshape(n_items, WORDS), axis=1)
    return Catalogue(
        n_items=n_items,
        text_rows=np.arange(-1, n_items, dtype=np.int32),
        embeddings=rng.standard_normal((n_items, WIDTH), dtype=np.float32),
        n_behaviors=len(BEHAVIORS),
        word_offsets=np.append(0, np.arange(n_items + 1) * WORDS).astype(np.int64),
        words=rows.ravel().astype(np.int32),
    )


def snapshot_of(n_items: int, n_users: int, seed: int = 0) -> Snapshot:
    """All that lists are made of."""
    rng = np.random.default_rng(seed)
    sequences, catalogue = histories(n_items, n_users, rng), catalogue_of(n_items, rng)
    model = NextItemModel(ModelConfig(), catalogue, sequences.n_numeric)
    model.counts += torch.from_numpy(np.bincount(sequences.items, minlength=n_items + 1))
    model.behavior_counts += 1
    experts = make_experts(model, sequences, catalogue, sequences.offsets[1:])
    names = feature_names(experts.all)
    powers = dict.fromkeys(experts.prior, 1 / len(experts.prior))
    scorer = Weights(powers, names, dict(Reranker(len(names)).state_dict())).recommender(experts)
    one = np.ones((2, len(BEHAVIORS) + 1))
    return Snapshot(
        scorer=scorer,
        sequences=sequences,
        n_items=n_items,
        hidden=Hidden.none(n_users),
        settings=ListSettings(20, True, 0.0, 0),
        facts=ItemFacts.of(sequences.items, sequences.times, n_items),
        step_texts=StepTexts.of(sequences, catalogue.text_rows),
        scales=Scales(one * 0, one),
        item_vectors=scorer.experts.prior["texts"].vectors.numpy(),  # pyright: ignore
    )


def publish(layout: Layout, n_items: int, n_users: int) -> str:
    """Publish such a package in a root; its id."""
    for folder in (layout.landing_events, layout.landing_feedback):
        folder.mkdir(parents=True, exist_ok=True)
    snapshot = snapshot_of(n_items, n_users)
    users = [f"user{code:07}" for code in range(n_users)]
    facts = pd.DataFrame(
        {
            "item_id": [f"item{code:07}" for code in range(n_items)],
            "title": [f"title of the item {code}" for code in range(n_items)],
            "category": [f"category {code % 50}" for code in range(n_items)],
            "brand": [f"brand {code % 500}" for code in range(n_items)],
            "price": np.arange(n_items) % 1000 + 0.5,
        }
    )
    info = published.PublishedInfo(
        model_version="benchmark",
        source="model",
        data_fingerprint="benchmark",
        encoder="random",
        generated_at=datetime.now(UTC).replace(tzinfo=None),
        settings=vars(snapshot.settings),
        behaviors=BEHAVIORS,
        dictionary=DEFAULT_BEHAVIORS,
        segments=[],
        relative=False,
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lists.parquet"
        pq.write_table(_lists(snapshot, users, facts["item_id"].to_numpy(dtype=object)), path)
        return published.publish(layout, snapshot, info, facts, users, users, path)


def _lists(snapshot: Snapshot, users: list[str], items: np.ndarray) -> pa.Table:
    """Lists of the first users by the model; the others share them, as if they were published."""
    parts = []
    whole = snapshot.sequences
    first = Sequences(**{**vars(whole), "offsets": whole.offsets[: min(LISTED, len(users)) + 1]})
    for block in make_lists(snapshot.scorer, first, users, snapshot.settings):
        parts.append(
            pd.DataFrame(
                {
                    "user_id": [users[code] for code in block.users.tolist()],
                    "rank": block.ranks,
                    "item_id": items[block.codes - 1],
                    "score": block.scores,
                    "probability": block.probabilities,
                    "propensity": block.propensities,
                    "source": "model",
                }
            )
        )
    return pa.Table.from_pandas(pd.concat(parts, ignore_index=True))
