"""Ranking metrics of one relevant item among the full catalogue, with ties shared fairly.

A target that shares its score with others counts with the mean of the metric over every order of
them (McSherry & Najork 2008), so that a scorer that finds all items alike scores what a random
order scores: no more, and no less.

Each target is the only relevant item of its list. Then average precision, whose sum over relevant
places has one term and whose normaliser is one, is the reciprocal rank: MAP@k is `mrr` at k. And
recall is the hit rate, and k times the precision.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

CUTS = (5, 10, 20)


@dataclass(frozen=True)
class Ranks:
    """The ranks, 1 = best, that targets may have: a tied one has any of a range alike."""

    first: np.ndarray  # int64 [n]
    last: np.ndarray  # int64 [n], the same where no other item has the target's score

    def __len__(self) -> int:
        """How many targets, n."""
        return len(self.first)

    @classmethod
    def joined(cls, blocks: Sequence["Ranks"]) -> "Ranks":
        """The blocks one after the other."""
        none = [np.zeros(0, dtype=np.int64)]
        return cls(
            np.concatenate(none + [block.first for block in blocks]),
            np.concatenate(none + [block.last for block in blocks]),
        )


def ranks(scores: torch.Tensor, targets: torch.Tensor) -> Ranks:
    """Ranks of each row's target.

    Args:
        scores: [B, V+1], -inf = not a candidate.
        targets: int64 [B], the column of the item that came next.

    Raises:
        ValueError: a score is NaN, which would compare as smaller than any target.
    """
    if scores.amax(1).isnan().any():  # the maximum of a row with a NaN is NaN
        raise ValueError("scores contain NaN")
    own = scores.gather(1, targets[:, None])
    better = (scores > own).sum(1, dtype=torch.int32)
    no_worse = (scores >= own).sum(1, dtype=torch.int32)
    return Ranks(better.numpy().astype(np.int64) + 1, no_worse.numpy().astype(np.int64))


def recall(ranks: Ranks, k: int) -> np.ndarray:
    """1 where the only relevant item is among the first k, [n]; also called hit rate."""
    return _expected(ranks, np.ones(k))


def ndcg(ranks: Ranks, k: int) -> np.ndarray:
    """Normalised discounted cumulative gain (Järvelin & Kekäläinen 2002) of one item, [n]."""
    return _expected(ranks, 1 / np.log2(np.arange(2, k + 2)))


def mrr(ranks: Ranks, k: int) -> np.ndarray:
    """Reciprocal rank, 0 beyond k, [n]; average precision at k is the same."""
    return _expected(ranks, 1 / np.arange(1, k + 1))


def _expected(ranks: Ranks, gains: np.ndarray) -> np.ndarray:
    """Mean gain over each range of ranks; `gains` [k] are of ranks 1..k, beyond is none."""
    k = len(gains)
    running = np.concatenate([[0.0], np.cumsum(gains)])
    gained = running[np.minimum(ranks.last, k)] - running[np.minimum(ranks.first - 1, k)]
    return gained / (ranks.last - ranks.first + 1)


def summarise(ranks: Ranks) -> dict[str, float]:
    """Mean recall, NDCG and MRR at every cut; 0 where there is no target at all."""
    measures = {"recall": recall, "ndcg": ndcg, "mrr": mrr}
    return {
        f"{name}_at_{k}": float(measure(ranks, k).mean()) if len(ranks) else 0.0
        for name, measure in measures.items()
        for k in CUTS
    }
