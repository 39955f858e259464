"""A trained network behind the interface that rankings use."""

import numpy as np
import torch

from llmrec_assets.core.batches import history_batch
from llmrec_assets.core.networks.model import NextItemModel
from llmrec_assets.core.sequences import Sequences


class NetworkScorer:
    """A `Scorer` of a model as it is now; the item vectors are computed once."""

    def __init__(self, model: NextItemModel) -> None:
        self.model = model.eval()
        with torch.no_grad():
            self.items_dV = model.item_matrix().T.contiguous()

    @torch.no_grad()
    def logits(self, sequences: Sequences, ends: np.ndarray, users: np.ndarray) -> torch.Tensor:
        """[B, V+1] scores of the next item; by popularity in training where history is empty."""
        model = self.model
        batch = history_batch(sequences, users, ends, model.config.max_length)
        logits = model.query(batch) @ self.items_dV
        if model.offset:
            logits.add_(model.offset)
        empty = torch.from_numpy(ends <= sequences.starts[users])
        if empty.any():
            logits[empty] = (model.counts + 0.5).log()
        logits[:, 0] = float("-inf")
        return logits
