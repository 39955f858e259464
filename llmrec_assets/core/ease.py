"""EASE: one linear map from what a user did to what it will do, in closed form."""

import numpy as np
import scipy.linalg
import scipy.sparse as sp
import torch

from llmrec_assets.core.baselines import padded
from llmrec_assets.core.sequences import Sequences, flat_rows, recent_items

MOST_ITEMS = 15_000  # the inverse of a dense items x items matrix takes minutes beyond


class Ease:
    """Embarrassingly shallow autoencoder (Steck 2019, eq. 8), asked by the newest events.

    The weights predict each item of a user from the user's others, by ridge regression with a
    zero diagonal. Of a history, older events ask with `decay` less each.
    """

    def __init__(
        self,
        sequences: Sequences,
        n_items: int,
        train_end: np.ndarray,
        ridge: float = 100.0,
        recent: int = 50,
        decay: float = 0.8,
    ) -> None:
        """Fit on the events of each user before `train_end` (int64 [U]).

        Raises:
            ValueError: more than `MOST_ITEMS` items.
        """
        if n_items > MOST_ITEMS:
            raise ValueError(
                f"EASE inverts a matrix of all pairs of items, too large for {n_items} (at most"
                f" {MOST_ITEMS}): leave it out, item_neighbours is the sparse alternative"
            )
        self.n_items, self.recent, self.decay = n_items, recent, decay
        positions, rows = flat_rows(sequences.starts, train_end)
        cells = (rows, sequences.items[positions] - 1)
        shape = (sequences.n_users, n_items)
        did = sp.csr_array((np.ones(len(rows), np.float32), cells), shape=shape)
        did.data[:] = 1  # how often does not count
        gram = (did.T @ did).toarray().astype(np.float64)
        gram[np.diag_indices(n_items)] += ridge
        inverse = scipy.linalg.inv(gram, overwrite_a=True, check_finite=False)
        weights = inverse / -np.diag(inverse)
        weights[np.diag_indices(n_items)] = 0
        self.weights = weights.astype(np.float32)

    def logits(self, sequences: Sequences, ends: np.ndarray, users: np.ndarray) -> torch.Tensor:
        """[B, V+1] predictions, higher is likelier; they are no log-probabilities."""
        asked = recent_items(sequences, ends, users, self.n_items, self.recent, self.decay)
        return padded(torch.from_numpy((asked[:, 1:] @ self.weights).astype(np.float32)))
