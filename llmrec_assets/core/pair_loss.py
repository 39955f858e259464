"""What fine-tuning an encoder minimises, over a batch of items that share pairs."""

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import nn

from llmrec_assets.core.co_consumption import CoConsumption

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_SCALE = 20.0  # of cosines, as sentence-transformers has it


class PairLoss(nn.Module):
    """Finding an item's neighbours among the other items of the batch.

    Cross-entropy (InfoNCE, van den Oord 2018) to the shares of its neighbours, so that none of them
    is a negative, less what an item's popularity alone would make of it (logQ, Yi et al. 2019).
    """

    def __init__(self, model: "SentenceTransformer", graph: CoConsumption) -> None:
        super().__init__()
        self.model, self.graph = model, graph
        self.log_shares = torch.from_numpy(graph.log_shares)

    def forward(self, features: list[dict[str, Any]], labels: torch.Tensor) -> torch.Tensor:
        """The mean over the items; `labels` int64 [B] are their codes."""
        vectors = F.normalize(self.model(features[0])["sentence_embedding"], dim=-1)
        logits = _SCALE * vectors @ vectors.T - self.log_shares[labels]
        itself = torch.eye(len(labels), dtype=torch.bool)
        found = logits.masked_fill(itself, float("-inf")).log_softmax(1)
        wanted = torch.from_numpy(self.graph.among(labels.numpy()))
        losses = -(wanted * found.masked_fill(itself, 0)).sum(1)
        return losses.sum() / wanted.any(1).sum().clamp(min=1)
