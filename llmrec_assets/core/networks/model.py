"""The next-item model: fuse what is known of every step, encode the past, compare with all items.

Legend: B windows, L steps, V items, d width, F numeric features.
"""

import torch
from torch import nn

from llmrec_assets.core.batches import Batch
from llmrec_assets.core.config import ModelConfig
from llmrec_assets.core.fusion import make_fusion
from llmrec_assets.core.networks.dropout import Dropout
from llmrec_assets.core.networks.recurrent import Recurrent
from llmrec_assets.core.networks.text import TextTable, text_rows_of
from llmrec_assets.core.networks.transformer import Transformer
from llmrec_assets.core.sequences import Catalogue


class NextItemModel(nn.Module):
    """Scores every item of the catalogue as the next one.

    An item's vector is a learnt id embedding plus a linear projection of its frozen text
    embedding, the same on input and output. The id counts only for items that occurred in
    training: a new item is ranked by its text alone, without the noise of an unlearnt id.
    """

    counts: torch.Tensor  # int64 [V+1], how often each item occurred in training
    behavior_counts: torch.Tensor  # int64 [B+1], the same of each behaviour
    item_text_rows: torch.Tensor  # int64 [V+1]

    def __init__(self, config: ModelConfig, catalogue: Catalogue, n_numeric: int) -> None:
        super().__init__()
        self.config, self.n_numeric, width = config, n_numeric, config.width
        self.has_text = bool(len(catalogue.embeddings))
        self.register_buffer("counts", torch.zeros(catalogue.n_items + 1, dtype=torch.int64))
        self.register_buffer(
            "behavior_counts", torch.zeros(catalogue.n_behaviors + 1, dtype=torch.int64)
        )
        self.register_buffer("item_text_rows", text_rows_of(catalogue), persistent=False)
        self.item = nn.Embedding(catalogue.n_items + 1, width, padding_idx=0)
        self.behavior = nn.Embedding(catalogue.n_behaviors + 1, width, padding_idx=0)
        names = ["item", "behavior"]
        if self.has_text:
            self.text = TextTable(catalogue.embeddings, config.text_width, width)
            names.append("text")
        if n_numeric:
            self.numeric = nn.Linear(2 * n_numeric, width)
            names.append("numeric")
        self.fuse = make_fusion(config.fusion, names, width, {**config.fusion_weights})
        self.input = nn.Sequential(nn.LayerNorm(width), Dropout(config.dropout))
        self.encode = _encoder(config)
        recurrent = config.network != "transformer"
        self.output = nn.Sequential(
            Dropout(config.dropout, steps_first=recurrent), nn.Linear(width, width)
        )
        self.offset = nn.Parameter(torch.zeros(()))  # of all logits; only the sigmoid needs it
        self._initialise()

    def _initialise(self) -> None:
        """Start from vectors of the size that training gives them."""
        for embedding in (self.item, self.behavior):
            nn.init.normal_(embedding.weight, std=0.1)
            nn.init.zeros_(embedding.weight[0])
        if self.config.objective == "sigmoid":
            nn.init.constant_(self.offset, -float(torch.tensor(len(self.counts)).log()))

    def forward(self, batch: Batch) -> torch.Tensor:
        """What each step, with its past, expects next: [B, L, d]."""
        parts, present = self._branches(batch)
        fused_BLd = self.fuse(torch.stack(parts, 2), torch.stack(present, 2).float())
        return self.output(self.encode(self.input(fused_BLd)))

    def query(self, batch: Batch) -> torch.Tensor:
        """What the last step of each window expects next: [B, d]."""
        return self(batch)[torch.arange(len(batch.lengths)), batch.lengths - 1]

    def item_matrix(self) -> torch.Tensor:
        """Every item's vector, [V+1, d]; row 0 is padding."""
        ids_Vd = self.item.weight * (self.counts > 0)[:, None]
        return ids_Vd + self.text(self.item_text_rows) if self.has_text else ids_Vd

    def _branches(self, batch: Batch) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Every branch's vectors [B, L, d] and where they say something [B, L]."""
        trained_BL = self.counts[batch.items] > 0
        known_BL = self.behavior_counts[batch.behaviors] > 0
        parts = [
            self.item(batch.items) * trained_BL[..., None],
            self.behavior(batch.behaviors) * known_BL[..., None],
        ]
        present = [trained_BL, known_BL]
        if self.has_text:
            parts.append(self.text(batch.text_rows))
            present.append(batch.text_rows >= 0)
        if self.n_numeric:
            numeric_BLF = batch.numeric[..., : self.n_numeric]  # newer features come after them
            missing = numeric_BLF.isnan()
            known = numeric_BLF.nan_to_num(0.0).clamp(-10, 10)
            parts.append(self.numeric(torch.cat([known, missing.float()], -1)))
            present.append(~missing.all(-1))
        return parts, present


def _encoder(config: ModelConfig) -> nn.Module:
    """The configured network over the steps, [B, L, d] to [B, L, d]."""
    if config.network == "transformer":
        return Transformer(
            config.width, config.layers, config.heads, config.dropout, config.max_length
        )
    return Recurrent(config.network, config.width, config.layers, config.dropout)
