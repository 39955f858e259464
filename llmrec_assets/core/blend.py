"""Two or more scorers as one: experts whose say is learnt from targets none of them was fitted on.

Counting is strong where pairs of items recur and a network with texts where they do not; the
product of their probabilities, each to a learnt power, is better than either.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from llmrec_assets.core.ranking import Scorer
from llmrec_assets.core.sequences import Sequences

_BLOCK = 256  # users scored at a time


class Blend:
    """A `Scorer`: the experts' log-probabilities added with `powers`, one an expert."""

    def __init__(self, experts: Sequence[Scorer], powers: Sequence[float]) -> None:
        """Raises ValueError unless there is one power an expert."""
        if len(experts) != len(powers):
            raise ValueError(f"{len(experts)} experts but {len(powers)} powers")
        self.experts, self.powers = list(experts), list(powers)

    def logits(self, sequences: Sequences, ends: np.ndarray, users: np.ndarray) -> torch.Tensor:
        """[B, V+1] scores of the next item."""
        scored = _log_probabilities(self.experts, sequences, ends, users)
        blended = torch.tensordot(torch.tensor(self.powers), scored, dims=1)
        return F.pad(blended, (1, 0), value=float("-inf"))


def fit_powers(
    experts: Sequence[Scorer],
    sequences: Sequences,
    targets: np.ndarray,
    max_users: int = 2000,
    seed: int = 0,
) -> list[float]:
    """The powers, all >= 0, under which the blend finds the targets likeliest.

    The log-likelihood is concave in the powers, so Newton's steps reach its one maximum.

    Args:
        experts: scorers that were not fitted on the targets.
        sequences: the events.
        targets: int64 [U], absolute position of each user's target, -1 = none.
        max_users: how many targets are used, drawn by `seed`.
        seed: of the draw.

    Returns:
        One power an expert; all 1 / number of experts where there is no target.
    """
    users = np.flatnonzero(targets >= 0)
    if len(users) > max_users:
        rng = np.random.default_rng(seed)
        users = np.sort(rng.choice(users, max_users, replace=False))
    powers = torch.full((len(experts),), 1 / len(experts), dtype=torch.float64)
    if len(users) == 0:
        return powers.tolist()
    for _ in range(8):
        gradient, curvature = _moments(experts, sequences, targets, users, powers)
        ridge = 1e-6 * torch.eye(len(experts), dtype=torch.float64)
        step = torch.linalg.solve(curvature + ridge, gradient)
        powers = (powers + step).clamp(0, 3)
        if step.abs().max() < 1e-3:
            break
    return powers.tolist()


def _moments(
    experts: Sequence[Scorer],
    sequences: Sequences,
    targets: np.ndarray,
    users: np.ndarray,
    powers: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradient [E] of the mean log-likelihood in the powers, and minus its Hessian [E, E]."""
    n = len(powers)
    gradient, curvature = torch.zeros_like(powers), torch.zeros(n, n, dtype=powers.dtype)
    for chosen in np.split(users, range(_BLOCK, len(users), _BLOCK)):
        ends = targets[chosen]
        scored_EBV = _log_probabilities(experts, sequences, ends, chosen)
        items = torch.from_numpy(sequences.items[ends].astype(np.int64)) - 1
        weights_BV = torch.tensordot(powers.float(), scored_EBV, dims=1).softmax(1)
        means_EB = (scored_EBV * weights_BV).sum(2)
        found_EB = scored_EBV[:, torch.arange(len(items)), items]
        gradient += (found_EB - means_EB).sum(1)
        centred_EBV = scored_EBV - means_EB[..., None]
        curvature += torch.einsum("ebv,fbv,bv->ef", centred_EBV, centred_EBV, weights_BV)
    return gradient / len(users), curvature / len(users)


def _log_probabilities(
    experts: Sequence[Scorer], sequences: Sequences, ends: np.ndarray, users: np.ndarray
) -> torch.Tensor:
    """Every expert's log-probabilities of items 1..V, [E, B, V]."""
    return torch.stack(
        [expert.logits(sequences, ends, users)[:, 1:].log_softmax(1) for expert in experts]
    )
