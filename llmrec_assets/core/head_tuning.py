"""Tuning a linear head on a frozen text encoder by what people consume together.

The encoder stays as it is; its vectors are centred and mapped by one matrix that starts as the
identity. Two items that one user consumed close to each other are pulled together, the other items
of the batch are pushed away (InfoNCE, van den Oord 2018), less what their popularity alone would
make of them (logQ, Yi et al. 2019). A new item is mapped by the same matrix from its text alone.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from llmrec_assets.core.encoder_head import Head, Pairs

_SCALE = 20.0  # of cosines, as sentence-transformers has it


class HeadConfig(BaseModel):
    """How the head is tuned."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    window: int = Field(default=3, ge=1, description="Events apart at which two items are a pair.")
    max_steps: int = Field(default=1500, ge=1, description="Budget, in batches.")
    max_passes: int = Field(default=3, ge=1, description="Over the pairs, within the budget.")
    batch: int = Field(default=1024, ge=2, description="Pairs of a batch.")
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    check_every: int = Field(default=90, ge=1, description="Steps between validations.")
    patience: int = Field(default=3, ge=1, description="Validations without a better one.")
    seed: int = 0


@dataclass(frozen=True)
class Tuned:
    """The head of the best validation, and the course to it."""

    head: Head
    curve: list[tuple[int, float]]  # (steps, validation)
    best_step: int


def tune_head(
    vectors: np.ndarray,
    pairs: Pairs,
    config: HeadConfig,
    validate: Callable[[np.ndarray], float],
    report: Callable[[str], None] | None = None,
) -> Tuned:
    """Tune on the pairs until `validate` gets no better or the budget is spent.

    Args:
        vectors: float32 [V+1, D], the frozen vectors of the items, zero where there is no text.
        pairs: at least a batch of them.
        config: the schedule.
        validate: how good mapped vectors [V+1, D] are; more is better.
        report: is told of every validation.

    Raises:
        ValueError: there are fewer pairs than a batch.
    """
    if len(pairs) < config.batch:
        raise ValueError(f"{len(pairs)} pairs are fewer than a batch of {config.batch}")
    mean = vectors[np.unique(pairs.first)].mean(axis=0)
    centred = torch.from_numpy(np.where(vectors.any(axis=1, keepdims=True), vectors - mean, 0))
    log_shares = _log_shares(pairs, len(vectors))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        matrix = nn.Linear(vectors.shape[1], vectors.shape[1], bias=False)
        nn.init.eye_(matrix.weight)
        optimiser = torch.optim.AdamW(
            matrix.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        curve, best, best_step = [], -np.inf, 0
        kept = Head(mean, np.eye(vectors.shape[1], dtype=np.float32))
        batches = _batches(pairs, config)
        for step, chosen in enumerate(batches, 1):
            loss = _loss(matrix, centred, pairs, chosen, log_shares, config.dropout)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if step % config.check_every and step < len(batches):
                continue
            head = Head(mean, matrix.weight.detach().T.numpy().copy())
            curve.append((step, validate(head.apply(vectors))))
            if report:
                report(f"step {step}: loss {loss.item():.3f}, validation {curve[-1][1]:.4f}")
            if curve[-1][1] > best:
                best, best_step, kept = curve[-1][1], step, head
            elif step - best_step >= config.patience * config.check_every:
                break
    return Tuned(kept, curve, best_step)


def _batches(pairs: Pairs, config: HeadConfig) -> list[np.ndarray]:
    """Batches of places of pairs within the budget: one shuffled pass after another."""
    rng = np.random.default_rng(config.seed)
    a_pass = len(pairs) // config.batch
    passes = min(config.max_passes, -(-config.max_steps // a_pass))
    places = [
        rng.permutation(len(pairs))[: a_pass * config.batch].reshape(a_pass, config.batch)
        for _ in range(passes)
    ]
    return list(np.concatenate(places)[: config.max_steps])


def _log_shares(pairs: Pairs, n: int) -> torch.Tensor:
    """Logarithm of each item's share of the second places, float32 [n]."""
    counts = np.bincount(pairs.second, minlength=n).astype(np.float32)
    return torch.from_numpy(np.log(np.maximum(counts, 1) / len(pairs)))


def _loss(
    matrix: nn.Linear,
    centred: torch.Tensor,
    pairs: Pairs,
    chosen: np.ndarray,
    log_shares: torch.Tensor,
    dropout: float,
) -> torch.Tensor:
    """Weighted mean of the cross-entropy of finding each pair's second item in the batch."""
    first = torch.from_numpy(pairs.first[chosen])
    second = torch.from_numpy(pairs.second[chosen])
    asked, offered = (
        F.normalize(matrix(F.dropout(centred[items], dropout)), dim=-1) for items in (first, second)
    )
    logits = _SCALE * asked @ offered.T - log_shares[second]
    same = second[:, None] == second
    logits = logits.masked_fill(same.fill_diagonal_(False), float("-inf"))
    losses = F.cross_entropy(logits, torch.arange(len(second)), reduction="none")
    weights = torch.from_numpy(pairs.weights[chosen])
    return (losses * weights).sum() / weights.sum()
