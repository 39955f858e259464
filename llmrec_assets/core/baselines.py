"""Rankings by counting: what a network has to beat.

Both return log-probabilities, so that their softmax gives the probability back.
"""

import numpy as np
import scipy.sparse as sp
import torch

from llmrec_assets.core.counting import blocks_before
from llmrec_assets.core.sequences import Sequences, flat_rows, recent


class Popularity:
    """The same list for everybody: how often each item occurred before `train_end`."""

    def __init__(self, sequences: Sequences, n_items: int, train_end: np.ndarray) -> None:
        self.probabilities = item_popularity(sequences, n_items, train_end)

    def logits(self, sequences: Sequences, ends: np.ndarray, users: np.ndarray) -> torch.Tensor:
        """[B, V+1] log-probabilities, every row the same."""
        row = torch.from_numpy(np.log(self.probabilities)).float()
        return padded(row.expand(len(users), -1))


class DecayedMarkov:
    """What followed the newest items of a history, within a few steps, in others' sequences.

    A transition from one item to another counts with `decay`^(steps skipped). The estimate of an
    item with few transitions is shrunk towards popularity, and a history's newest items count
    more than older ones (FPMC's ancestor, and Fossil's higher-order chain: He & McAuley 2016).
    """

    def __init__(
        self,
        sequences: Sequences,
        n_items: int,
        train_end: np.ndarray,
        steps: int = 10,
        decay: float = 0.8,
        shrink: float = 20.0,
    ) -> None:
        """Count the events of each user before `train_end` (int64 [U])."""
        self.steps, self.decay = steps, decay
        popularity = np.append(0.0, item_popularity(sequences, n_items, train_end))
        self.popularity = torch.from_numpy(popularity).float()
        counts = transition_counts(sequences, n_items, train_end, steps, decay)
        totals = np.asarray(counts.sum(1))
        shares = sp.diags_array(1 / (totals + shrink)) @ counts
        self.transitions = sp.csr_array(shares, dtype=np.float32)
        self.backoff = shrink / (totals + shrink)  # popularity's share after each item

    def logits(self, sequences: Sequences, ends: np.ndarray, users: np.ndarray) -> torch.Tensor:
        """[B, V+1] log-probabilities; popularity where a history is empty."""
        asked = recent(sequences, ends, users, self.steps, self.decay)
        backoff = np.bincount(asked.rows, asked.weights * self.backoff[asked.items], len(users))
        rest = np.where(ends > sequences.starts[users], backoff, 1.0)
        probabilities = torch.from_numpy(asked.mixed_sparse(self.transitions)).float()
        probabilities.addr_(torch.from_numpy(rest).float(), self.popularity)
        return probabilities.log_()  # of the padding item, which never follows, -inf


def transition_counts(
    sequences: Sequences, n_items: int, train_end: np.ndarray, steps: int, decay: float
) -> sp.csr_array:
    """Weighted counts of target after source, float64 [V+1, V+1]; targets are positive events."""
    shape = (n_items + 1, n_items + 1)
    counts = sp.csr_array(shape, dtype=np.float64)
    for lag in range(1, steps + 1):
        sources, _ = flat_rows(sequences.starts, train_end - lag)
        sources = sources[sequences.positive[sources + lag]]
        weights = np.full(len(sources), decay ** (lag - 1))
        pairs = (sequences.items[sources], sequences.items[sources + lag])
        counts = counts + sp.csr_array((weights, pairs), shape=shape)
    return sp.csr_array(counts)


def item_popularity(sequences: Sequences, n_items: int, train_end: np.ndarray) -> np.ndarray:
    """Probability of each item among positive events, with half an event added: float64 [V]."""
    liked = np.zeros(n_items + 1, dtype=np.int64)
    for positions in blocks_before(sequences, train_end):
        items = sequences.items[positions[sequences.positive[positions]]]
        liked += np.bincount(items, minlength=n_items + 1)
    counts = liked[1:] + 0.5
    return counts / counts.sum()


def without_padding(scores: torch.Tensor) -> torch.Tensor:
    """[B, V+1] with the padding item's score made -inf, in place."""
    scores[:, 0] = float("-inf")
    return scores


def padded(scores: torch.Tensor) -> torch.Tensor:
    """[B, V] with the padding item's -inf put before it: [B, V+1]."""
    return torch.nn.functional.pad(scores, (1, 0), value=float("-inf"))
