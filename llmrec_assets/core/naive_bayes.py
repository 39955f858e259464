"""Naive Bayes: how well each item explains the history, item by item."""

import numpy as np
import scipy.sparse as sp
import torch

from llmrec_assets.core.baselines import item_popularity, padded, transition_counts
from llmrec_assets.core.sequences import Sequences, recent_items


class NaiveBayes:
    """P(item | history) ∝ P(item) Π P(step | item)^weight over the newest steps.

    P(step | item) is the share of `step` among what preceded `item` within `steps` events,
    smoothed by `smoothing` pseudo-counts spread by popularity, so that steps never seen before an
    item still say how surprising they are. Newer steps weigh more and the weights sum to
    `evidence`, so that a long history does not drown the prior.
    """

    def __init__(
        self,
        sequences: Sequences,
        n_items: int,
        train_end: np.ndarray,
        steps: int = 10,
        decay: float = 0.7,
        smoothing: float = 500.0,
        evidence: float = 7.0,
    ) -> None:
        """Count the events of each user before `train_end` (int64 [U])."""
        self.steps, self.decay, self.evidence, self.n_items = steps, decay, evidence, n_items
        self.prior = item_popularity(sequences, n_items, train_end)
        preceded = transition_counts(sequences, n_items, train_end, steps, decay)
        totals = np.asarray(preceded.sum(0)).ravel()
        base = np.concatenate([[1.0], self.prior])
        # log(count + s p) - log(s p) is zero where nothing was counted: a sparse matrix.
        gained = preceded.tocoo()
        gain = np.log1p(gained.data / (smoothing * base[gained.row]))
        shape = (n_items + 1, n_items + 1)
        self.gain = sp.csr_array((gain, (gained.row, gained.col)), shape=shape)
        self.total = np.log(totals + smoothing) - np.log(smoothing)

    def logits(self, sequences: Sequences, ends: np.ndarray, users: np.ndarray) -> torch.Tensor:
        """[B, V+1] log-probabilities up to a constant of each row; the prior without history."""
        recent = recent_items(sequences, ends, users, self.n_items, self.steps, self.decay)
        weight = self.evidence * np.asarray(recent.sum(1)).reshape(-1, 1)
        explained = self.evidence * sp.csr_array(recent @ self.gain).toarray()
        scores = np.log(self.prior) + explained[:, 1:] - weight * self.total[1:]
        return padded(torch.from_numpy(scores).float())
