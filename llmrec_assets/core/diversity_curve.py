"""What diversity costs: the same users' lists with more and more of it, and how good they are."""

import numpy as np
import pandas as pd

from llmrec_assets.core.beyond_accuracy import coverage, diversity, exposure, novelty
from llmrec_assets.core.content import item_directions
from llmrec_assets.core.deep_lists import DeepLists
from llmrec_assets.core.diversity import Pool
from llmrec_assets.core.intervals import mean_intervals
from llmrec_assets.core.item_traits import ItemTraits
from llmrec_assets.core.reranking import Reranking
from llmrec_assets.core.sequences import Catalogue

WEIGHTS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)  # of `Reranking.diversity`
CUT = 10
BEARABLE = 0.01  # share of NDCG that diversity may cost
COLUMNS = [
    "weight",
    f"masked_ndcg_at_{CUT}",
    "difference",
    "lower",
    "upper",
    "cost",
    f"diversity_at_{CUT}",
    f"coverage_at_{CUT}",
    f"novelty_at_{CUT}",
]


def diversity_curve(deep: DeepLists, catalogue: Catalogue, counts: np.ndarray) -> pd.DataFrame:
    """Quality and variety of the first `CUT` items by the weight of diversity.

    Args:
        deep: what the lists are made of.
        catalogue: the items. Lists are varied by the embeddings without what all have in common;
            how varied they are is told by the plain ones, as in `beyond_accuracy`.
        counts: int64 [V+1], training events of each item.

    Returns:
        A row for each of `WEIGHTS`: NDCG, its difference from that without diversity with the ends
        of the interval, what share of NDCG that costs, mean distance within a list, share of the
        catalogue shown, and mean surprise in bits.
    """
    shown = _lists(deep, ItemTraits.of(item_directions(catalogue, counts > 0)))
    gains = np.column_stack([_gains(lists, deep.targets) for lists in shown])
    intervals = mean_intervals(gains - gains[:, :1])
    plain = max(float(gains[:, 0].mean()), np.finfo(float).tiny)
    rows = [
        (
            weight,
            gains[:, column].mean(),
            *intervals[column],
            -intervals[column, 0] / plain,
            _mean(diversity(lists, catalogue)),
            coverage(exposure(lists, catalogue.n_items)),
            _mean(novelty(lists, counts)),
        )
        for column, (weight, lists) in enumerate(zip(WEIGHTS, shown, strict=True))
    ]
    return pd.DataFrame(rows, columns=COLUMNS).assign(users=len(deep.targets))


def bearable(curve: pd.DataFrame) -> float:
    """The largest weight up to which none costs more than `BEARABLE` of NDCG."""
    dear = (curve["cost"] > BEARABLE).to_numpy()
    return float(curve["weight"].to_numpy()[~np.maximum.accumulate(dear)].max(initial=0.0))


def _lists(deep: DeepLists, traits: ItemTraits) -> list[np.ndarray]:
    """Of each weight the lists of all users, int64 [n, CUT]."""
    shown = np.zeros((len(WEIGHTS), len(deep.codes), CUT), dtype=np.int64)
    nobody = np.zeros(0, dtype=np.int64)
    for user, (codes, scores) in enumerate(zip(deep.codes, deep.scores, strict=True)):
        pool = Pool(codes, scores, traits, nobody)
        for column, weight in enumerate(WEIGHTS):
            listed = codes[pool.listed(Reranking(diversity=weight), CUT)]
            shown[column, user, : len(listed)] = listed
    return list(shown)


def _gains(lists: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """What each target adds to NDCG by its place in its list, float64 [n]."""
    hits = lists == targets[:, None]
    return hits @ (1 / np.log2(np.arange(2, CUT + 2)))


def _mean(of_lists: np.ndarray) -> float:
    """Of the lists that have it; NaN where none has."""
    known = of_lists[~np.isnan(of_lists)]
    return float(known.mean()) if len(known) else float("nan")
