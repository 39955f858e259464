"""A second look at the likeliest items: a small network over what is known of user and item.

The prior says which items come into question, the reranker in which order. It is learnt from
targets that none of the experts was fitted on, by the softmax over each user's candidates
(ListNet, Cao et al. 2007).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from llmrec_assets.core.candidates import Candidates

FOLDS = 4
_WIDTH, _EPOCHS, _LEARNING_RATE, _DECAY, _DROPOUT = 32, 10, 1e-2, 1e-3, 0.1
_LEAST_TARGETS = 40  # below, a fold says nothing
_LEAST_SPREAD = 1e-4  # below, a feature is constant but for rounding


class Reranker(nn.Module):
    """The prior plus what `FOLDS` networks, each fitted without one fold of users, add on average.

    Features are standardised by the mean and spread of the candidates it was fitted on.
    """

    mean: torch.Tensor  # [F]
    spread: torch.Tensor  # [F]

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("spread", torch.ones(n_features))
        self.folds = nn.ModuleList(_Correction(n_features) for _ in range(FOLDS))

    def forward(self, features_nF: torch.Tensor) -> torch.Tensor:
        """Scores [n]; column 0 of the features is the prior."""
        scaled_nF = self.scale(features_nF)
        added = torch.stack([fold(scaled_nF) for fold in self.folds])
        return features_nF[:, 0] + added.mean(0)

    def scale(self, features_nF: torch.Tensor) -> torch.Tensor:
        """Standardised and clipped."""
        return ((features_nF - self.mean) / self.spread).clamp(-6, 6)


class _Correction(nn.Module):
    """A line plus one hidden layer, zero at the start."""

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.line = nn.Linear(n_features, 1, bias=False)
        self.curve = nn.Sequential(
            nn.Linear(n_features, _WIDTH),
            nn.GELU(),
            nn.Dropout(_DROPOUT),
            nn.Linear(_WIDTH, _WIDTH),
            nn.GELU(),
            nn.Linear(_WIDTH, 1, bias=False),
        )
        nn.init.zeros_(self.line.weight)
        nn.init.zeros_(self.curve[-1].weight)  # pyright: ignore

    def forward(self, scaled_nF: torch.Tensor) -> torch.Tensor:
        """[n]."""
        return (self.line(scaled_nF) + self.curve(scaled_nF))[:, 0]


@dataclass(frozen=True)
class Examples:
    """Candidates of users whose target is among them, each user's together."""

    features: torch.Tensor  # float32 [n, F]
    offsets: np.ndarray  # int64 [U+1]
    targets: np.ndarray  # int64 [U], row of the target

    @classmethod
    def of(cls, blocks: Iterator[tuple[Candidates, torch.Tensor]]) -> "Examples":
        """From blocks of candidates with each user's target code (int64 [B])."""
        features, lengths, targets, before = [], [], [], 0
        for candidates, items in blocks:
            hit = candidates.codes == items[candidates.rows]
            kept = torch.isin(candidates.rows, candidates.rows[hit])
            rows = candidates.rows[kept]
            features.append(candidates.features[kept])
            lengths.append(torch.unique_consecutive(rows, return_counts=True)[1].numpy())
            targets.append(hit[kept].nonzero()[:, 0].numpy() + before)
            before += len(rows)
        offsets = np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64)
        return cls(_joined(features), offsets, np.concatenate(targets))

    def __len__(self) -> int:
        """U."""
        return len(self.targets)

    def batch(self, users: np.ndarray) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(features [m, F], the user's place in `users` of each row, row of each target)."""
        first, lengths = self.offsets[users], np.diff(self.offsets)[users]
        before = np.cumsum(lengths) - lengths
        owners = np.repeat(np.arange(len(users)), lengths)
        rows = np.arange(len(owners)) + (first - before)[owners]
        targets = self.targets[users] - first + before
        return self.features[rows], torch.from_numpy(owners), torch.from_numpy(targets)


def _joined(blocks: list[torch.Tensor]) -> torch.Tensor:
    """The blocks one after the other; each is freed when copied, so that few are held twice."""
    joined = torch.empty(sum(map(len, blocks)), *blocks[0].shape[1:])
    while blocks:
        last = blocks.pop()
        joined[sum(map(len, blocks)) :][: len(last)] = last
    return joined


def fit_reranker(examples: Examples, seed: int) -> Reranker | None:
    """A reranker, or None where it does not rank better than the prior users it was not fitted on.

    Args:
        examples: candidates and targets that no expert was fitted on.
        seed: of folds, initial weights and order.
    """
    if len(examples) < _LEAST_TARGETS:
        return None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        reranker = Reranker(examples.features.shape[1])
        reranker.mean.copy_(examples.features.mean(0))
        spread = examples.features.std(0)
        # Of what never varied nothing is learnt: it stays out, also when it varies later.
        reranker.spread.copy_(torch.where(spread > _LEAST_SPREAD, spread, torch.inf))
        fold = np.random.default_rng(seed).permutation(len(examples)) % FOLDS
        before = after = 0.0
        for index, correction in enumerate(reranker.folds):
            _fit_fold(correction, reranker, examples, np.flatnonzero(fold != index), seed)
            kept_out = np.flatnonzero(fold == index)
            with torch.no_grad():
                before += _total_loss(None, reranker, examples, kept_out)
                after += _total_loss(correction, reranker, examples, kept_out)
    return reranker.eval() if after < before else None


def _fit_fold(
    correction: nn.Module, reranker: Reranker, examples: Examples, users: np.ndarray, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    size = min(256, max(16, len(users) // 8))
    steps = _EPOCHS * -(-len(users) // size)
    optimizer = torch.optim.AdamW(correction.parameters(), _LEARNING_RATE, weight_decay=_DECAY)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, steps)
    correction.train()
    for _ in range(_EPOCHS):
        shuffled = rng.permutation(users)
        for chosen in np.split(shuffled, range(size, len(users), size)):
            loss = _loss(correction, reranker, *examples.batch(chosen)).mean()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            schedule.step()
    correction.eval()


def _total_loss(
    correction: nn.Module | None, reranker: Reranker, examples: Examples, users: np.ndarray
) -> float:
    """The loss of the users' targets under the prior, corrected or not."""
    return sum(
        float(_loss(correction, reranker, *examples.batch(chosen)).sum())
        for chosen in np.split(users, range(256, len(users), 256))
    )


def _loss(
    correction: nn.Module | None,
    reranker: Reranker,
    features_nF: torch.Tensor,
    owners: torch.Tensor,
    targets: torch.Tensor,
) -> torch.Tensor:
    """Minus log-probability of each user's target among its candidates, [B]."""
    scores = features_nF[:, 0]
    if correction is not None:
        scores = scores + correction(reranker.scale(features_nF))
    return log_total(scores, owners, len(targets)) - scores[targets]


def log_total(scores: torch.Tensor, owners: torch.Tensor, n: int) -> torch.Tensor:
    """Logarithm of the summed exponentials of each owner's scores [m]: [n], -inf without any."""
    highest = scores.new_full((n,), float("-inf"))
    highest = highest.scatter_reduce(0, owners, scores.detach(), "amax")
    total = scores.new_zeros(n).index_add(0, owners, (scores - highest[owners]).exp())
    return total.log() + highest
