"""EASE: one linear map from what a user did to what it will do, in closed form."""

import numpy as np
import scipy.sparse as sp
import torch
from scipy.linalg import get_lapack_funcs

from llmrec_assets.core.baselines import item_popularity, padded
from llmrec_assets.core.sequences import Sequences, flat_rows, recent_items

MOST_ITEMS = 15_000  # with so many, fitting takes a minute and 4 GB
FLOOR = 1e-4  # share of an item that nothing speaks for, so that its logarithm exists


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
            ValueError: events of more than `MOST_ITEMS` items.
        """
        self.n_items, self.recent, self.decay = n_items, recent, decay
        self.popularity = item_popularity(sequences, n_items, train_end)
        positions, rows = flat_rows(sequences.starts, train_end)
        # Items without events would have no weight and are left out.
        self.codes, columns = np.unique(sequences.items[positions], return_inverse=True)
        if len(self.codes) > MOST_ITEMS:
            raise ValueError(
                "EASE inverts a matrix of all pairs of items, too large for"
                f" {len(self.codes)} (at most {MOST_ITEMS}): leave it out, item_neighbours is the"
                " sparse alternative"
            )
        shape = (sequences.n_users, len(self.codes))
        did = sp.csr_array((np.ones(len(rows)), (rows, columns)), shape=shape)
        did.data[:] = 1  # how often does not count
        self.weights = _weights((did.T @ did).toarray(order="F"), ridge)

    def logits(self, sequences: Sequences, ends: np.ndarray, users: np.ndarray) -> torch.Tensor:
        """[B, V+1] logarithms of what is predicted; popularity where a history tells nothing."""
        asked = recent_items(sequences, ends, users, self.n_items, self.recent, self.decay)
        asked = asked[:, self.codes].astype(np.float32)
        scores = np.full((len(users), self.n_items), FLOOR, dtype=np.float32)
        scores[:, self.codes - 1] += np.maximum(asked @ self.weights, 0)
        scores[np.diff(asked.indptr) == 0] = self.popularity
        return padded(torch.from_numpy(np.log(scores)))


def _weights(gram: np.ndarray, ridge: float) -> np.ndarray:
    """The regression's weights, float32 [n, n], from counts of users by pairs (overwritten)."""
    n = len(gram)
    if n == 0:
        return np.zeros((0, 0), dtype=np.float32)
    gram[np.diag_indices(n)] += ridge
    # Cholesky's factor, then the inverse's upper triangle, each in the place of the one before.
    factorise, invert = get_lapack_funcs(("potrf", "potri"), (gram,))
    factor, _ = factorise(gram, overwrite_a=True)
    inverse, _ = invert(factor, overwrite_c=True)
    upper = inverse.astype(np.float32)
    weights = upper + upper.T
    weights /= -np.diag(upper)
    weights[np.diag_indices(n)] = 0
    return weights
