"""Fit a next-item model: every position of every sequence is trained, and the best epoch kept.

The same inputs, configuration and number of threads give bit-equal weights.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from llmrec_assets.core.config import ModelConfig
from llmrec_assets.core.networks.model import NextItemModel
from llmrec_assets.core.reproducible import reproducible
from llmrec_assets.core.sequences import Catalogue, Sequences
from llmrec_assets.core.splits import Split
from llmrec_assets.core.trainer import Trainer
from llmrec_assets.core.warm_start import inherit


@dataclass(frozen=True)
class EpochReport:
    """How one pass over the training events went."""

    epoch: int  # 1, 2, …
    train_loss: float  # mean over positions
    validation_ndcg: float | None  # NDCG@10 over all items; None without validation
    seconds: float


@dataclass(frozen=True)
class Fitted:
    """A model with the weights of its best epoch, and how it got there."""

    model: NextItemModel
    learning_curve: list[EpochReport]
    best_epoch: int


def fit(
    sequences: Sequences,
    catalogue: Catalogue,
    config: ModelConfig,
    train_end: np.ndarray,
    split: Split | None = None,
    report: Callable[[EpochReport], None] | None = None,
    epochs: int | None = None,
    start: NextItemModel | None = None,
) -> Fitted:
    """Train on each user's events before `train_end`.

    Args:
        sequences: the events.
        catalogue: the items.
        config: network, objective and schedule.
        train_end: int64 [U], absolute; nothing at or after it is trained on.
        split: with it, training stops when its validation targets get no better, and the best
            weights are kept. Without it the last weights are.
        report: called after every epoch.
        epochs: stop after so many instead of `config.max_epochs`, on the same schedule: a refit
            with another fit's best epoch repeats that fit's course on more events.
        start: an older model over the same catalogue, whose weights are trained on; it stays as
            it is.

    Raises:
        CannotContinue: `start` cannot be trained on.
        NothingToLearn: no position can be trained.
        NonFiniteLoss: the loss diverged.
    """
    with reproducible(config.seed, config.threads):
        trainer = Trainer(sequences, catalogue, config, train_end)
        if start is not None:
            inherit(trainer.model, start)
        watched = _validation_sample(split, config) if split is not None else None
        curve: list[EpochReport] = []
        best_ndcg, best_epoch, best_state = -1.0, 0, {}
        for epoch in range(1, min(epochs or config.max_epochs, config.max_epochs) + 1):
            started = time.perf_counter()
            loss = trainer.run_epoch(epoch)
            ndcg = trainer.validate(watched) if watched is not None else None
            curve.append(EpochReport(epoch, loss, ndcg, time.perf_counter() - started))
            if report:
                report(curve[-1])
            if ndcg is None:
                best_epoch = epoch
            elif ndcg > best_ndcg:
                best_ndcg, best_epoch = ndcg, epoch
                best_state = {k: v.clone() for k, v in trainer.model.state_dict().items()}
            elif epoch - best_epoch >= config.patience:
                break
        if best_state:
            trainer.model.load_state_dict(best_state)
        return Fitted(trainer.model.eval(), curve, best_epoch)


def _validation_sample(split: Split, config: ModelConfig) -> np.ndarray:
    """Validation targets of at most `validation_users` users, drawn by the seed; others -1."""
    users = np.flatnonzero(split.validation >= 0)
    if len(users) > config.validation_users:
        rng = np.random.default_rng(config.seed)
        users = rng.choice(users, config.validation_users, replace=False)
    targets = np.full(len(split.validation), -1, dtype=np.int64)
    targets[users] = split.validation[users]
    return targets
