"""How items that nobody ever touched are found: a tenth of the items is kept from everything.

    python -m llmrec_assets_tests.benchmarks.cold_items FOLDER [--events FILE] [--k-core N]
        [--share S] [--seed N] [--max-epochs N]

FOLDER holds events.csv and items.csv. Items are held out by a hash of their id: none of their
events is in the store, so nothing is fitted, tuned or counted with them; only their texts are
known. Measured are users whose last event was with such an item, from the rest of their history:
NDCG@10 and Recall@10 with all items as candidates (those of the history left out) and among the
held-out items alone, with ties shared fairly; and, beside it, the ordinary test targets of the same
store, which are of known items. Once with the encoder's own vectors and, where one was tuned, once
with the tuned ones.
"""

import argparse
import hashlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from llmrec_assets.assets.study_steps import read
from llmrec_assets.core.baselines import Popularity, padded
from llmrec_assets.core.blocks import parts_of
from llmrec_assets.core.config import ModelConfig
from llmrec_assets.core.metrics import Ranks, ndcg, ranks, recall
from llmrec_assets.core.ranking import Scorer, evaluate, exclude_seen
from llmrec_assets.core.recommender import Recommender, fit_weights, make_experts
from llmrec_assets.core.sequences import Catalogue, Sequences, recent_items
from llmrec_assets.core.splits import leave_one_out
from llmrec_assets.core.training import fit
from llmrec_assets.layout import Layout
from llmrec_assets.resources.wiring import resources_of
from llmrec_assets.sql.training_data import TrainingData
from llmrec_assets_tests.benchmarks.preparation import folder_parser, prepared


def held_out(item: str, share: float, seed: int) -> bool:
    """Whether the item is one of those; a matter of its id and the seed alone."""
    digest = hashlib.sha256(f"{seed} {item}".encode()).digest()
    return int.from_bytes(digest[:8]) < share * 2**64


def divided(events: pd.DataFrame, share: float, seed: int) -> tuple[pd.DataFrame, pd.Series]:
    """(events of the other items, held-out item of every user whose last event was with one)."""
    cold = events["item_id"].map(lambda item: held_out(item, share, seed))
    times = pd.to_numeric(events["timestamp"], errors="coerce")
    if times.isna().any():
        times = pd.to_datetime(events["timestamp"], utc=True, format="ISO8601")
    order = times.argsort(kind="stable")
    last = events.iloc[order].drop_duplicates("user_id", keep="last")
    targets = last.loc[cold[last.index]].set_index("user_id")["item_id"]
    return events[~cold], targets


class TextNeighbours:
    """Cosine to the mean vector of the whole history: nothing is learnt, centred or decayed."""

    def __init__(self, catalogue: Catalogue) -> None:
        rows = catalogue.text_rows
        vectors = np.zeros((len(rows), catalogue.embeddings.shape[1]), dtype=np.float32)
        vectors[rows >= 0] = catalogue.embeddings[rows[rows >= 0]]
        self.vectors = vectors

    def logits(self, sequences: Sequences, ends: np.ndarray, users: np.ndarray) -> torch.Tensor:
        """[B, V+1]."""
        n_items = len(self.vectors) - 1
        history = recent_items(
            sequences, ends, users, n_items, int(np.diff(sequences.offsets).max()), 1.0
        )
        cosine = (history.astype(np.float32) @ self.vectors) @ self.vectors[1:].T
        return padded(torch.from_numpy(cosine))


class CategoryPopularity:
    """Items of the categories of the newest events; the more popular first within a category.

    Categories are the comma-separated parts of the column. Held-out items have no popularity, so
    those that share as much with the history tie.
    """

    def __init__(self, data: TrainingData, categories: dict[str, str], ends: np.ndarray) -> None:
        parts = [
            set(filter(None, map(str.strip, categories.get(item, "").split(","))))
            for item in data.items
        ]
        codes = {name: code for code, name in enumerate(sorted(set().union(*parts)))}
        self.of_items = np.zeros((len(parts) + 1, max(len(codes), 1)), dtype=np.float32)
        for item, own in enumerate(parts, 1):
            self.of_items[item, [codes[name] for name in own]] = 1 / max(len(own), 1) ** 0.5
        popularity = Popularity(data.sequences, len(parts), ends).probabilities
        self.tie_break = torch.from_numpy(1e-3 * popularity / popularity.max()).float()

    def logits(self, sequences: Sequences, ends: np.ndarray, users: np.ndarray) -> torch.Tensor:
        """[B, V+1]."""
        recent = recent_items(sequences, ends, users, len(self.of_items) - 1, 10, 0.6)
        shared = (recent.astype(np.float32) @ self.of_items) @ self.of_items[1:].T
        return padded(torch.from_numpy(shared) + self.tie_break)


class Constant:
    """All items alike: what a random order scores."""

    def __init__(self, n_items: int) -> None:
        self.n_items = n_items

    def logits(self, sequences: Sequences, ends: np.ndarray, users: np.ndarray) -> torch.Tensor:
        """[B, V+1]."""
        return padded(torch.zeros(len(users), self.n_items))


def cold_ranks(
    scorer: Scorer, sequences: Sequences, users: np.ndarray, items: np.ndarray, cold: np.ndarray
) -> tuple[Ranks, Ranks]:
    """Ranks of `items` after each user's whole history: among all items, and among `cold` ones."""
    everything, alone = [], []
    for part in parts_of(len(users), len(cold) - 1):
        own, wanted = users[part], torch.from_numpy(items[part])
        ends = sequences.offsets[own + 1]
        logits = scorer.logits(sequences, ends, own)
        exclude_seen(logits, sequences, ends, own)
        everything.append(ranks(logits, wanted))
        logits[:, torch.from_numpy(~cold)] = float("-inf")
        alone.append(ranks(logits, wanted))
    return Ranks.joined(everything), Ranks.joined(alone)


def scorers(
    data: TrainingData, categories: dict[str, str], config: ModelConfig
) -> Iterator[tuple[str, Scorer]]:
    """Everything that is compared, each fitted as for evaluation."""
    sequences, catalogue, split = data.sequences, data.catalogue, leave_one_out(data.sequences)
    fitted = fit(sequences, catalogue, config, split.train_end, split)
    experts = make_experts(fitted.model, sequences, catalogue, split.train_end)
    weights = fit_weights(experts, sequences, split.validation, config.seed)
    print(f"powers {weights.powers}, reranked {bool(weights.reranker)}", file=sys.stderr)
    yield "served", weights.recommender(experts)
    yield "not reranked", Recommender(experts, weights.powers, None)
    for name in ("network", "texts", "words", "decayed_markov"):
        yield name, experts.prior[name]
    yield "text neighbours", TextNeighbours(catalogue)
    yield "category popularity", CategoryPopularity(data, categories, split.train_end)
    yield "random", Constant(catalogue.n_items)


def show(data: TrainingData, targets: pd.Series, cold_items: set[str], found: Iterator) -> None:
    """Print a line for every scorer."""
    sequences = data.sequences
    code = {item: c for c, item in enumerate(data.items, 1)}
    lengths = np.diff(sequences.offsets)
    asked = [
        (user, code[targets[name]])
        for user, name in enumerate(data.users)
        if name in targets.index and targets[name] in code and lengths[user] > 0
    ]
    users, items = np.array(asked, dtype=np.int64).T
    cold = np.array([False, *(item in cold_items for item in data.items)])
    print(f"{len(users)} users, {cold.sum()} held-out items of {data.catalogue.n_items}")
    print(
        f"{'':<22}all items: NDCG Recall  held-out alone: NDCG Recall  known targets: NDCG Recall"
    )
    for name, scorer in found:
        figures = [
            measure(own, 10).mean()
            for own in cold_ranks(scorer, sequences, users, items, cold)
            for measure in (ndcg, recall)
        ]
        ordinary = evaluate(scorer, sequences, leave_one_out(sequences).test).summary()
        figures += [ordinary["masked_ndcg_at_10"], ordinary["masked_recall_at_10"]]
        print(f"{name:<22}" + "  ".join(f"{figure:.4f}" for figure in figures), flush=True)


def main(arguments: argparse.Namespace) -> None:
    """Hold out, prepare, fit and print, with every encoder there is."""
    events = pd.read_csv(arguments.folder / arguments.events, dtype=str)
    kept, targets = divided(events, arguments.share, arguments.seed)
    described = pd.read_csv(arguments.folder / "items.csv", dtype=str, keep_default_na=False)
    categories = dict(zip(described["item_id"], described.get("category", ""), strict=False))
    cold_items = {i for i in described["item_id"] if held_out(i, arguments.share, arguments.seed)}
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder)
        kept.to_csv(store / "events.csv", index=False)
        described.to_csv(store / "items.csv", index=False)
        layout = Layout(store / "data")
        prepared(layout, store, k_core=arguments.k_core)
        resources = resources_of(layout)
        material = read(resources["warehouse"], resources["arrays"], "z-score")
        config = ModelConfig(seed=arguments.seed, max_epochs=arguments.max_epochs)
        for kind in ("frozen", "tuned"):
            if kind in material.encoders:
                used = material.encoders[kind] == material.encoders["in use"]
                print(f"\n{kind} encoder{', in use' if used else ''}")
                data = material.under(kind)
                show(data, targets, cold_items, scorers(data, categories, config))


if __name__ == "__main__":
    parser = folder_parser(__doc__)
    parser.add_argument("--share", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max-epochs", type=int, default=ModelConfig().max_epochs)
    main(parser.parse_args())
