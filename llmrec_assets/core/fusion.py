"""How what is known of a step (item, text, behaviour, numbers) becomes one vector.

Every branch comes in aligned to the same width d, with a flag of where it is present: a step
without a text, or with an item that no training saw, is fused from its other branches.
Legend: B windows, L steps, K branches, d width.
"""

from collections.abc import Mapping

import torch
from torch import nn


class Concat(nn.Module):
    """A linear map of all branches side by side; an absent one is zero."""

    def __init__(self, names: list[str], width: int) -> None:
        super().__init__()
        self.map = nn.Linear(len(names) * width, width)

    def forward(self, parts_BLKd: torch.Tensor, present_BLK: torch.Tensor) -> torch.Tensor:
        """[B, L, d]."""
        return self.map((parts_BLKd * present_BLK[..., None]).flatten(2))


class Weighted(nn.Module):
    """The mean of the branches that are present, with fixed weights."""

    weights: torch.Tensor

    def __init__(self, names: list[str], weights: Mapping[str, float]) -> None:
        super().__init__()
        fixed = torch.tensor([weights.get(name, 0.0) for name in names])
        if (fixed < 0).any() or not (fixed > 0).any():
            raise ValueError(f"weights must be >= 0 and one of {names} above 0, got {weights}")
        self.register_buffer("weights", fixed, persistent=False)

    def forward(self, parts_BLKd: torch.Tensor, present_BLK: torch.Tensor) -> torch.Tensor:
        """[B, L, d]."""
        shares_BLK = self.weights * present_BLK
        shares_BLK = shares_BLK / shares_BLK.sum(-1, keepdim=True).clamp_min(1e-6)
        return (parts_BLKd * shares_BLK[..., None]).sum(2)


class Gate(nn.Module):
    """The mean of the branches that are present, with weights learnt from their content."""

    def __init__(self, names: list[str], width: int) -> None:
        super().__init__()
        self.score = nn.Linear(len(names) * width, len(names))

    def forward(self, parts_BLKd: torch.Tensor, present_BLK: torch.Tensor) -> torch.Tensor:
        """[B, L, d]."""
        parts_BLKd = parts_BLKd * present_BLK[..., None]
        # Absent branches get a large finite penalty: -inf would make a padded step NaN.
        scores_BLK = self.score(parts_BLKd.flatten(2)) - 1e4 * (1 - present_BLK)
        return (parts_BLKd * scores_BLK.softmax(-1)[..., None]).sum(2)


def make_fusion(kind: str, names: list[str], width: int, weights: Mapping[str, float]) -> nn.Module:
    """The fusion called `kind` of the branches `names`; `weights` serve `weighted` only.

    Raises:
        ValueError: an unknown kind, or weights that leave no branch.
    """
    match kind:
        case "concat":
            return Concat(names, width)
        case "mean":
            return Weighted(names, dict.fromkeys(names, 1.0))
        case "weighted":
            return Weighted(names, weights)
        case "gate":
            return Gate(names, width)
    raise ValueError(f"unknown fusion {kind!r}")
