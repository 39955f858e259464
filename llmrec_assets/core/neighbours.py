"""Item-based nearest neighbours: items that stand near each other in histories go together."""

import numpy as np
import scipy.sparse as sp
import torch

from llmrec_assets.core.baselines import without_padding
from llmrec_assets.core.sequences import Sequences, flat_rows, recent

FLOOR = 1e-3  # similarity of items that never met, so that its logarithm exists


class ItemNeighbours:
    """Item-kNN (Sarwar et al. 2001) with closeness in time instead of a cut at k neighbours.

    Two positive events of a user within `steps` of each other tie their items, in both directions,
    with `closeness`^(steps between). A tie is divided by the geometric mean of both items' ties, as
    a cosine is; `shrink` more ties in the mean keep rare items modest. A history's newest `recent`
    items ask, older ones with `decay` less each.
    """

    def __init__(
        self,
        sequences: Sequences,
        n_items: int,
        train_end: np.ndarray,
        steps: int = 50,
        closeness: float = 0.95,
        shrink: float = 5.0,
        recent: int = 20,
        decay: float = 0.8,
    ) -> None:
        """Count the events of each user before `train_end` (int64 [U])."""
        self.n_items, self.recent, self.decay = n_items, recent, decay
        ties = _ties(sequences, n_items, train_end, steps, closeness)
        size = sp.diags_array((np.asarray(ties.sum(1)).ravel() + shrink) ** -0.5)
        self.similarity = sp.csr_array(size @ ties @ size, dtype=np.float32)

    def logits(self, sequences: Sequences, ends: np.ndarray, users: np.ndarray) -> torch.Tensor:
        """[B, V+1] logarithms of similarity to the history."""
        asked = recent(sequences, ends, users, self.recent, self.decay)
        near = torch.from_numpy(asked.mixed_sparse(self.similarity)).float()
        return without_padding(near.add_(FLOOR).log_())


def _ties(
    sequences: Sequences, n_items: int, train_end: np.ndarray, steps: int, closeness: float
) -> sp.csr_array:
    """Symmetric weighted counts of two items in one neighbourhood, float64 [V+1, V+1]."""
    shape = (n_items + 1, n_items + 1)
    longest = int((train_end - sequences.starts).max(initial=0))
    followed = sp.csr_array(shape, dtype=np.float64)
    for lag in range(1, min(steps, longest - 1) + 1):
        first, _ = flat_rows(sequences.starts, train_end - lag)
        first = first[sequences.positive[first] & sequences.positive[first + lag]]
        pairs = (sequences.items[first], sequences.items[first + lag])
        weights = np.full(len(first), closeness ** (lag - 1))
        followed = followed + sp.csr_array((weights, pairs), shape=shape)
    return sp.csr_array(followed + followed.T)
