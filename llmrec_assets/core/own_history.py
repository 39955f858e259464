"""What each user comes back to: the own items of the past, those of late and often first."""

import numpy as np
import torch

from llmrec_assets.core.baselines import item_popularity, padded
from llmrec_assets.core.sequences import Sequences, flat_rows


class OwnHistory:
    """How often a user had each item, forgotten slowly, and popularity for all others.

    It is what more elaborate rankings of repeated purchases seldom beat (GP-TopFreq in A Next
    Basket Recommendation Reality Check, Li et al. 2023). The probability of coming back to
    something is the share of the training events that did. Histories are read when they are asked
    about, so that new events count at once.
    """

    def __init__(
        self, sequences: Sequences, n_items: int, train_end: np.ndarray, decay: float = 0.999
    ) -> None:
        """Count each user's events before `train_end` (int64 [U]).

        `decay` is the weight of an event relative to the next newer one.
        """
        self.decay = decay
        self.popularity = item_popularity(sequences, n_items, train_end)
        positions, users = flat_rows(sequences.starts, train_end)
        liked = sequences.positive[positions]
        pairs = users[liked] * (n_items + 1) + sequences.items[positions[liked]]
        self.repeats = float((len(pairs) - len(np.unique(pairs))) / (len(pairs) + 1))

    def logits(self, sequences: Sequences, ends: np.ndarray, users: np.ndarray) -> torch.Tensor:
        """[B, V+1] log-probabilities; popularity where nothing of a history may be a target."""
        positions, rows = flat_rows(sequences.starts[users], ends)
        age = ends[rows] - 1.0 - positions
        weights = self.decay**age * sequences.positive[positions]
        totals = np.bincount(rows, weights, len(users))
        share = np.where(totals > 0, self.repeats, 0.0)
        probabilities = (1 - share)[:, None] * self.popularity
        known = weights > 0
        rows, items = rows[known], sequences.items[positions[known]].astype(np.int64)
        own = (share / np.where(totals > 0, totals, 1))[rows] * weights[known]
        np.add.at(probabilities, (rows, items - 1), own)
        return padded(torch.from_numpy(np.log(probabilities)).float())
