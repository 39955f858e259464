"""A causal transformer (Vaswani 2017), pre-norm, as SASRec (Kang & McAuley 2018) uses it."""

import torch
import torch.nn.functional as F
from torch import nn

from llmrec_assets.core.networks.dropout import Dropout


class Transformer(nn.Module):
    """[B, L, d] to [B, L, d]: a step attends to itself and the steps before it.

    Padding stands on the right, after all real steps, and so never reaches one of them. How far
    back a step lies is a learnt bias of each head (as in T5, Raffel 2020), so that the same order
    of events means the same wherever a window was cut.
    """

    def __init__(
        self, width: int, layers: int, heads: int, dropout: float, max_length: int
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(width, heads, dropout, max_length) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, steps_BLd: torch.Tensor) -> torch.Tensor:
        """Encode every step with its past; L is at most `max_length`."""
        for block in self.blocks:
            steps_BLd = block(steps_BLd)
        return self.norm(steps_BLd)


class Block(nn.Module):
    """Causal attention by content and distance, then a feed-forward network."""

    def __init__(self, width: int, heads: int, dropout: float, max_length: int) -> None:
        super().__init__()
        self.heads = heads
        self.distance = nn.Parameter(torch.zeros(heads, max_length))
        self.attention_norm = nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 2 * width),
            nn.GELU(),
            Dropout(dropout),
            nn.Linear(2 * width, width),
            Dropout(dropout),
        )
        self.dropout = Dropout(dropout)

    def forward(self, steps_BLd: torch.Tensor) -> torch.Tensor:
        """One layer's update of every step."""
        attended = self.dropout(self._attend(self.attention_norm(steps_BLd)))
        steps_BLd = steps_BLd + attended
        return steps_BLd + self.feed_forward(steps_BLd)

    def _attend(self, steps_BLd: torch.Tensor) -> torch.Tensor:
        """Every step's mixture of its past, [B, L, d]."""
        B, L, d = steps_BLd.shape
        split_3BHLh = (
            self.query_key_value(steps_BLd)
            .view(B, L, 3, self.heads, d // self.heads)
            .permute(2, 0, 3, 1, 4)
        )
        mixed_BHLh = F.scaled_dot_product_attention(*split_3BHLh, attn_mask=self._bias(L))
        return self.output(mixed_BHLh.transpose(1, 2).reshape(B, L, d))

    def _bias(self, L: int) -> torch.Tensor:
        """What distance adds to the attention, [H, L, L]; -inf towards the future."""
        step = torch.arange(L)
        back_LL = step[:, None] - step
        bias_HLL = self.distance[:, back_LL.clamp_min(0)]
        return bias_HLL.masked_fill(back_LL < 0, float("-inf"))
