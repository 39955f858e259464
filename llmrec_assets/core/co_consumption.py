"""Which items are consumed together, as a graph, and batches of items that share many pairs.

A batch of loose pairs has one pair for two texts. One of items and their neighbours in the graph
has several, and every text that a transformer reads costs the same.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from llmrec_assets.core.encoder_head import Pairs

NEIGHBOURS = 3  # drawn with every item


@dataclass(frozen=True)
class CoConsumption:
    """How often two items were consumed close to each other, weighted by behaviour."""

    weights: sp.csr_array  # float64 [V+1, V+1], symmetric, nothing on the diagonal

    @classmethod
    def of(cls, pairs: Pairs, n: int) -> "CoConsumption":
        """The graph of `n` items; pairs that weigh nothing are no edges."""
        kept = pairs.weights > 0
        first, second = pairs.first[kept], pairs.second[kept]
        places = np.concatenate([first, second]), np.concatenate([second, first])
        weights = np.tile(pairs.weights[kept].astype(np.float64), 2)
        return cls(sp.csr_array(sp.coo_array((weights, places), shape=(n, n))))

    @property
    def items(self) -> np.ndarray:
        """Codes of the items with a neighbour, int64."""
        return np.flatnonzero(np.diff(self.weights.indptr)).astype(np.int64)

    @property
    def log_shares(self) -> np.ndarray:
        """Logarithm of each item's share of all weight, float32 [V+1]; -inf without a neighbour."""
        totals = self.weights.sum(axis=1)
        with np.errstate(divide="ignore"):
            return np.log(totals / totals.sum()).astype(np.float32)

    def batch(self, size: int, rng: np.random.Generator) -> np.ndarray:
        """Distinct items, int64 [size]: some by their weight, and neighbours of each by theirs.

        Raises:
            ValueError: fewer items than that have a neighbour.
        """
        if size > len(self.items):
            raise ValueError(
                f"{len(self.items)} items with a pair are fewer than {size} of a batch"
            )
        edges = np.cumsum(self.weights.data)
        chosen = np.zeros(0, np.int64)
        while len(chosen) < size:
            seeds = self._rows(np.searchsorted(edges, rng.random(size) * edges[-1], "right"))
            before = np.concatenate([[0.0], edges])[self.weights.indptr]
            low, high = before[seeds], before[seeds + 1]
            drawn = low[:, None] + rng.random((size, NEIGHBOURS)) * (high - low)[:, None]
            places = np.searchsorted(edges, drawn, "right")
            last = self.weights.indptr[seeds + 1, None] - 1  # a sum may round beyond its row
            near = self.weights.indices[np.minimum(places, last)]
            together = np.concatenate([seeds[:, None], near], axis=1).ravel()
            chosen = np.concatenate([chosen, together])
            chosen = chosen[np.sort(np.unique(chosen, return_index=True)[1])][:size]
        return chosen

    def among(self, items: np.ndarray) -> np.ndarray:
        """What the neighbours of each item weigh, float32 [n, n], rows summing to one or zero."""
        own = self.weights[items][:, items].toarray()
        total = own.sum(axis=1, keepdims=True)
        return (own / np.where(total > 0, total, 1)).astype(np.float32)

    def _rows(self, places: np.ndarray) -> np.ndarray:
        """The items that the edges at `places` belong to."""
        places = np.minimum(places, self.weights.nnz - 1)
        return np.searchsorted(self.weights.indptr, places, "right").astype(np.int64) - 1
