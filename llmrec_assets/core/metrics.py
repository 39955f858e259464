"""Ranking metrics over the full catalogue, with ties shared fairly.

A target tied with others gets the mean of the ranks they share, so that a model that scores all
items alike ranks its target in the middle, not first.
"""

import numpy as np
import torch

CUTS = (5, 10, 20)


def ranks(scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Rank of each row's target, 1 = best.

    Args:
        scores: [B, V+1], -inf = not a candidate.
        targets: int64 [B], the column of the item that came next.

    Returns:
        float32 [B], ending in .5 where an even number of items share the target's score.

    Raises:
        ValueError: a score is NaN, which would compare as smaller than any target.
    """
    if scores.isnan().any():
        raise ValueError("scores contain NaN")
    target_scores = scores.gather(1, targets[:, None])
    better = (scores > target_scores).sum(1)
    others_equal = (scores == target_scores).sum(1) - 1
    return 1.0 + better.float() + others_equal.float() / 2


def recall(ranks: np.ndarray, k: int) -> np.ndarray:
    """1 where the only relevant item is among the first k, [B]; also called hit rate."""
    return (ranks <= k).astype(np.float64)


def ndcg(ranks: np.ndarray, k: int) -> np.ndarray:
    """Normalised discounted cumulative gain (Järvelin & Kekäläinen 2002) of one item, [B]."""
    return np.where(ranks <= k, 1 / np.log2(1 + ranks), 0.0)


def mrr(ranks: np.ndarray, k: int) -> np.ndarray:
    """Reciprocal rank, 0 beyond k, [B]."""
    return np.where(ranks <= k, 1 / ranks, 0.0)


def summarise(ranks: np.ndarray) -> dict[str, float]:
    """Mean recall, NDCG and MRR at every cut; 0 where there is no target at all."""
    measures = {"recall": recall, "ndcg": ndcg, "mrr": mrr}
    return {
        f"{name}_at_{k}": float(measure(ranks, k).mean()) if len(ranks) else 0.0
        for name, measure in measures.items()
        for k in CUTS
    }


def exposure(shown: np.ndarray, n_items: int) -> np.ndarray:
    """How often each item stands in the lists `shown` (codes, 0 = none): int64 [V]."""
    return np.bincount(shown.ravel(), minlength=n_items + 1)[1:]


def coverage(exposure: np.ndarray) -> float:
    """Share of the catalogue that is shown at least once."""
    return float((exposure > 0).mean()) if len(exposure) else 0.0


def gini(exposure: np.ndarray) -> float:
    """Inequality of exposure: 0 = all items alike, towards 1 = one item takes everything."""
    total, n = exposure.sum(), len(exposure)
    if n == 0 or total == 0:
        return 0.0
    rank = np.arange(1, n + 1)
    return float(2 * (rank * np.sort(exposure)).sum() / (n * total) - (n + 1) / n)
