"""Frozen text embeddings, reduced to what a small model can use."""

import numpy as np
import scipy.linalg
import torch
from torch import nn

from llmrec_assets.core.sequences import Catalogue

_BLOCK = 8192  # embeddings reduced at a time, so that a memory-mapped matrix stays on disk


class TextTable(nn.Module):
    """Every text embedding's whitened principal components, and their projection to width d.

    The basis (mean, directions, scales) is fitted once and belongs to the state; the reduced table
    follows from the catalogue and does not. Only the projection learns.
    """

    mean: torch.Tensor  # [D]
    basis: torch.Tensor  # [D, k]
    table: torch.Tensor  # [T+1, k], row 0 stands for "no text" and is zero

    def __init__(self, embeddings: np.ndarray, text_width: int, width: int) -> None:
        super().__init__()
        dimensions = embeddings.shape[1]
        components = min(text_width, dimensions)
        self.register_buffer("mean", torch.zeros(dimensions))
        self.register_buffer("basis", torch.zeros(dimensions, components))
        self.register_buffer(
            "table", torch.zeros(len(embeddings) + 1, components), persistent=False
        )
        self.project = nn.Linear(components, width, bias=False)

    def fit_basis(self, embeddings: np.ndarray, rows: np.ndarray) -> None:
        """Take mean and principal directions from the texts at `rows` (those trained on)."""
        # Double precision: the smallest components of near-duplicate texts are rounding otherwise.
        texts = torch.from_numpy(np.asarray(embeddings[np.unique(rows)], dtype=np.float64))
        if len(texts) == 0:
            return
        mean = texts.mean(0)
        centred = texts - mean
        covariance = (centred.T @ centred / len(texts)).numpy()
        # QR iteration: the faster algorithms may fail on the many equal eigenvalues (zeros) of few
        # texts or of columns that no text uses.
        found = scipy.linalg.eigh(covariance, driver="ev")
        variances, directions = torch.from_numpy(found[0]), torch.from_numpy(settled(*found))
        k = self.basis.shape[1]
        variances, directions = variances.flip(0)[:k], directions.flip(1)[:, :k]
        # Half-way whitening: the main themes stay louder than the fine distinctions.
        scales = variances.clamp_min(1e-12).pow(-0.25)
        scales = torch.where(variances > 1e-9, scales, 0)
        basis = directions * scales
        spread = (centred @ basis).pow(2).mean().sqrt().clamp_min(1e-12)
        self.mean.copy_(mean)
        self.basis.copy_(basis / spread)

    def read(self, embeddings: np.ndarray) -> None:
        """Reduce all embeddings [T, D] with the basis as it is."""
        blocks = [torch.zeros(1, self.basis.shape[1])]
        for start in range(0, len(embeddings), _BLOCK):
            texts = np.array(embeddings[start : start + _BLOCK], dtype=np.float32)
            blocks.append((torch.from_numpy(texts) - self.mean) @ self.basis)
        self.table = torch.cat(blocks)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """The projected texts at `rows` (any shape, -1 = none, which gives zeros): [..., d]."""
        return self.project(self.table[rows + 1])


def settled(variances: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """The directions [D, D] as they do not depend on the last digits of the covariance.

    Signs, and the axes of a space whose variances [D] are equal, are left to rounding, and with it
    to the number of threads and the machine. Here each space takes the axes that come out of
    orthogonalising what lies in it of the same few random directions.
    """
    scale = max(float(variances[-1]), 1e-12)
    spaces = np.split(
        np.arange(len(variances)), np.flatnonzero(np.diff(variances) > 1e-9 * scale) + 1
    )
    drawn = np.random.default_rng(0).normal(size=directions.shape)
    parts = []
    for space in spaces:
        axes = directions[:, space]
        q, r = np.linalg.qr(axes.T @ drawn[:, : len(space)])
        parts.append(axes @ (q * np.where(np.diag(r) < 0, -1, 1)))
    return np.concatenate(parts, axis=1)


def text_rows_of(catalogue: Catalogue) -> torch.Tensor:
    """Each item's embedding row, int64 [V+1], -1 = none."""
    return torch.from_numpy(catalogue.text_rows.astype(np.int64))
