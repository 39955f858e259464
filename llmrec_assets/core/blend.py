"""How far to trust each of several scorers, learnt from targets that none of them was fitted on.

Their blend is the product of their probabilities, each to a power of its own (a logarithmic
opinion pool, Genest & Zidek 1986).
"""

from collections.abc import Sequence

import numpy as np
import torch

from llmrec_assets.core.blocks import parts_of
from llmrec_assets.core.ranking import Scorer
from llmrec_assets.core.sequences import Sequences

_DOUBT = 10.0
_LEAST = 0.01  # what counting does not know, such as a new item, others can still tell apart


def fit_powers(
    experts: Sequence[Scorer],
    sequences: Sequences,
    targets: np.ndarray,
    n_items: int,
    max_users: int = 1000,
    seed: int = 0,
) -> list[float]:
    """The powers, all positive, under which the blend finds the targets likeliest.

    Few targets say little, so the powers are drawn towards an equal say of all experts with the
    weight of `_DOUBT` targets. The objective is concave, so Newton's steps reach its one maximum.

    Args:
        experts: scorers that were not fitted on the targets.
        sequences: the events.
        targets: int64 [U], absolute position of each user's target, -1 = none.
        n_items: V.
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
        gradient, curvature = _moments(experts, sequences, targets, users, powers, n_items)
        gradient += _DOUBT / len(users) * (1 / len(experts) - powers)
        curvature += _DOUBT / len(users) * torch.eye(len(experts), dtype=powers.dtype)
        # An expert at its least that should have even less say takes no part in the step.
        free = (powers > _LEAST) | (gradient > 0)
        step = torch.zeros_like(powers)
        step[free] = torch.linalg.solve(curvature[free][:, free], gradient[free])
        powers = (powers + step).clamp(_LEAST, 3)
        if step.abs().max() < 1e-3:
            break
    return powers.tolist()


def _moments(
    experts: Sequence[Scorer],
    sequences: Sequences,
    targets: np.ndarray,
    users: np.ndarray,
    powers: torch.Tensor,
    n_items: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradient [E] of the mean log-likelihood in the powers, and minus its Hessian [E, E]."""
    n = len(powers)
    gradient, curvature = torch.zeros_like(powers), torch.zeros(n, n, dtype=powers.dtype)
    for part in parts_of(len(users), n_items):
        chosen = users[part]
        ends = targets[chosen]
        scored_EBV = log_probabilities(experts, sequences, ends, chosen)
        items = torch.from_numpy(sequences.items[ends].astype(np.int64)) - 1
        weights_BV = torch.tensordot(powers.float(), scored_EBV, dims=1).softmax(1)
        means_EB = (scored_EBV * weights_BV).sum(2)
        found_EB = scored_EBV[:, torch.arange(len(items)), items]
        gradient += (found_EB - means_EB).sum(1)
        centred_EBV = scored_EBV - means_EB[..., None]
        curvature += torch.einsum("ebv,fbv,bv->ef", centred_EBV, centred_EBV, weights_BV)
    return gradient / len(users), curvature / len(users)


def log_probabilities(
    experts: Sequence[Scorer], sequences: Sequences, ends: np.ndarray, users: np.ndarray
) -> torch.Tensor:
    """Every expert's log-probabilities of items 1..V, [E, B, V]."""
    return torch.stack(
        [expert.logits(sequences, ends, users)[:, 1:].log_softmax(1) for expert in experts]
    )
