"""How far to trust each of several scorers, learnt from targets that none of them was fitted on.

Their blend is the product of their probabilities, each to a power of its own (a logarithmic
opinion pool, Genest & Zidek 1986).
"""

from collections.abc import Sequence

import numpy as np
import torch
from scipy.optimize import lsq_linear

from llmrec_assets.core.blocks import parts_of
from llmrec_assets.core.ranking import Scorer
from llmrec_assets.core.sequences import Sequences

_DOUBT = 10.0
_LEAST = 0.01  # what counting does not know, such as a new item, others can still tell apart
_MOST = 3.0
_MOST_STEPS = 20  # usually 5 reach it; more where an expert is far too sure of itself


def fit_powers(
    experts: Sequence[Scorer],
    sequences: Sequences,
    targets: np.ndarray,
    n_items: int,
    max_users: int = 1000,
    seed: int = 0,
) -> list[float]:
    """The powers, `_LEAST` to `_MOST`, under which the blend finds the targets likeliest.

    Few targets say little, so the powers are drawn towards an equal say of all experts with the
    weight of `_DOUBT` targets. The objective is concave, so Newton's steps, each within the bounds
    and shortened where it leads down, reach its one maximum.

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
    equal = np.full(len(experts), 1 / len(experts))
    if len(users) == 0:
        return equal.tolist()
    doubt, highest, powers, step = _DOUBT / len(users), -np.inf, equal, np.zeros(len(equal))
    for _ in range(_MOST_STEPS):
        tried = powers + step
        value, gradient, curvature = _moments(experts, sequences, targets, users, tried, n_items)
        value -= doubt / 2 * ((tried - equal) ** 2).sum()
        if value < highest:
            step /= 4
        else:
            highest, powers = value, tried
            gradient -= doubt * (powers - equal)
            step = _newton_step(gradient, curvature + doubt * np.eye(len(powers)), powers)
        if np.abs(step).max() < 1e-3:
            powers = powers + step  # so near that it is not looked at again
            break
    return powers.tolist()


def _newton_step(gradient: np.ndarray, curvature: np.ndarray, powers: np.ndarray) -> np.ndarray:
    """The step to the maximum, within the bounds, of the parabola that fits at `powers`."""
    root = np.linalg.cholesky(curvature)
    bounds = (_LEAST - powers, _MOST - powers)
    return lsq_linear(root.T, np.linalg.solve(root, gradient), bounds, method="bvls").x


def _moments(
    experts: Sequence[Scorer],
    sequences: Sequences,
    targets: np.ndarray,
    users: np.ndarray,
    powers: np.ndarray,
    n_items: int,
) -> tuple[float, np.ndarray, np.ndarray]:
    """Mean log-likelihood of the powers, its gradient [E], and minus its Hessian [E, E]."""
    n, value = len(powers), 0.0
    gradient, curvature = np.zeros(n), np.zeros((n, n))
    for part in parts_of(len(users), n_items):
        chosen = users[part]
        ends = targets[chosen]
        scored_EBV = torch.stack(
            [log_probabilities(expert, sequences, ends, chosen) for expert in experts]
        )
        rows, items = np.arange(len(ends)), sequences.items[ends].astype(np.int64) - 1
        blended_BV = torch.tensordot(torch.from_numpy(powers).float(), scored_EBV, dims=1)
        blended_BV = blended_BV.log_softmax(1)
        value += float(blended_BV[rows, items].sum(dtype=torch.float64))
        chances_BV = blended_BV.exp_()
        means_EB = torch.einsum("ebv,bv->eb", scored_EBV, chances_BV)
        gradient += (scored_EBV[:, rows, items] - means_EB).sum(1, dtype=torch.float64).numpy()
        centred_EBV = scored_EBV.sub_(means_EB[..., None])
        weighted_EBV = centred_EBV * chances_BV
        curvature += (weighted_EBV.flatten(1) @ centred_EBV.flatten(1).T).numpy()
    return value / len(users), gradient / len(users), curvature / len(users)


def log_probabilities(
    expert: Scorer, sequences: Sequences, ends: np.ndarray, users: np.ndarray
) -> torch.Tensor:
    """An expert's log-probabilities of items 1..V, [B, V]."""
    return expert.logits(sequences, ends, users).log_softmax(1)[:, 1:]
