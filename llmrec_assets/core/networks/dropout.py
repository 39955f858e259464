"""Dropout that several processes do as one would."""

import torch
from torch import nn


class Dropout(nn.Dropout):
    """Drops of some rows of a batch what it would drop of them in the whole batch.

    All processes draw for the whole batch, so that their random numbers stay in step.
    """

    own: torch.Tensor | None = None  # int64 [b], the rows that this process has …
    rows = 0  # … of so many; all of them while `own` is None

    def __init__(self, p: float, steps_first: bool = False) -> None:
        """`steps_first`: the numbers of what comes in lie in memory as [L, b, d], so of a GRU."""
        super().__init__(p)
        self.steps_first = steps_first

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """[b, L, d] to the same shape."""
        if self.own is None or not self.training or self.p == 0:
            return super().forward(input)
        _, L, d = input.shape
        shape = (L, self.rows, d) if self.steps_first else (self.rows, L, d)
        drawn = input.new_empty(shape).bernoulli_(1 - self.p)  # in the order of one process
        drawn_BLd = drawn.transpose(0, 1) if self.steps_first else drawn
        return input * drawn_BLd[self.own] / (1 - self.p)
