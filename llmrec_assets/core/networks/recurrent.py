"""Recurrent encoders: RNN, LSTM (Hochreiter 1997) and GRU (Cho 2014; as GRU4Rec, Hidasi 2016)."""

import torch
from torch import nn

_CELLS: dict[str, type[nn.RNN] | type[nn.LSTM] | type[nn.GRU]] = {
    "rnn": nn.RNN,
    "lstm": nn.LSTM,
    "gru": nn.GRU,
}


class Recurrent(nn.Module):
    """[B, L, d] to [B, L, d]: a step sees itself and the steps before it.

    Padding stands on the right, after all real steps, and so never reaches one of them.
    """

    def __init__(self, cell: str, width: int, layers: int, dropout: float) -> None:
        super().__init__()
        between = dropout if layers > 1 else 0.0
        self.cells = _CELLS[cell](width, width, layers, batch_first=True, dropout=between)

    def forward(self, steps_BLd: torch.Tensor) -> torch.Tensor:
        """Encode every step with its past."""
        return self.cells(steps_BLd)[0]
