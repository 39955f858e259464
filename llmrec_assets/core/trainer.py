"""One pass after the other over the training events: batches, loss, optimiser, schedule."""

import numpy as np
import torch

from llmrec_assets.core.batches import batch_of, bucketed, training_windows
from llmrec_assets.core.blocks import rows_of
from llmrec_assets.core.config import ModelConfig
from llmrec_assets.core.counting import blocks_before, occurrences
from llmrec_assets.core.metrics import ndcg
from llmrec_assets.core.networks.dropout import Dropout
from llmrec_assets.core.networks.model import NextItemModel
from llmrec_assets.core.networks.scoring import NetworkScorer
from llmrec_assets.core.objectives import sampled_softmax_loss, sigmoid_loss, softmax_loss
from llmrec_assets.core.process_group import Share, average_gradients, start_alike, totals
from llmrec_assets.core.ranking import evaluate
from llmrec_assets.core.sequences import Catalogue, Sequences, padded_rows


class NothingToLearn(Exception):
    """No user has two events to train on, of which the later may be a target."""


class NonFiniteLoss(Exception):
    """The loss became NaN or infinite: the learning rate or an input is too large."""


class Trainer:
    """One model with its optimiser and the events it learns from."""

    def __init__(
        self, sequences: Sequences, catalogue: Catalogue, config: ModelConfig, ends: np.ndarray
    ) -> None:
        self.sequences, self.config, self.ends = sequences, config, ends
        self.rng = np.random.default_rng(config.seed)
        self.model = _fresh_model(sequences, catalogue, config, ends)
        # Only items of the training period compete: a later one must not be learnt as unlikely.
        self.candidates = self.model.counts.nonzero()[:, 0]
        self.index = torch.zeros_like(self.model.counts)
        self.index[self.candidates] = torch.arange(len(self.candidates))
        self.share = Share.own()
        self.dropouts = [part for part in self.model.modules() if isinstance(part, Dropout)]
        if self.share.size > 1:
            start_alike(self.model)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), config.learning_rate, weight_decay=config.weight_decay
        )

    def run_epoch(self, epoch: int) -> float:
        """Train on every position once; the mean loss."""
        self.model.train()
        first, last = training_windows(
            self.sequences.starts, self.ends, self.config.max_length, self.rng
        )
        batches = bucketed(last - first, self.config.batch_events, self.rng)
        total, positions = 0.0, 0
        for step, chosen in enumerate(batches):
            self._set_learning_rate(epoch - 1 + step / len(batches))
            rows = padded_rows(first[chosen], last[chosen], self.config.max_length)
            n, loss = self._step(rows)
            total, positions = total + loss * n, positions + n
        if positions == 0:
            raise NothingToLearn("no user has two training events of which the later is positive")
        return total / positions

    def validate(self, targets: np.ndarray) -> float:
        """NDCG@10 at `targets`, of all items or those that the history lacks."""
        users = np.flatnonzero(targets >= 0)
        own = np.full_like(targets, -1)
        mine = users[self.share.of(len(users))]
        own[mine] = targets[mine]
        evaluation = evaluate(
            NetworkScorer(self.model), self.sequences, own, rows_of(len(self.model.counts))
        )
        ranks = evaluation.masked_ranks if self.config.hide_seen else evaluation.ranks
        if self.share.size == 1:
            return float(ndcg(ranks, 10).mean()) if len(ranks) else 0.0
        total, n = totals([float(ndcg(ranks, 10).sum()), len(ranks)])
        return total / n if n else 0.0

    def _step(self, rows: np.ndarray) -> tuple[int, float]:
        """One update from the windows at `rows`: positions trained and their mean loss."""
        trained = (rows >= 0) & self.sequences.positive[rows + 1]
        if not trained.any():
            return 0, 0.0
        self.optimizer.zero_grad(set_to_none=True)
        n, loss = self._differentiate(rows, trained)
        if not np.isfinite(loss):
            raise NonFiniteLoss(
                f"loss {loss}: lower learning_rate ({self.config.learning_rate}) or look "
                "for extreme numeric features or embeddings"
            )
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimizer.step()
        return n, loss

    def _differentiate(self, rows: np.ndarray, trained: np.ndarray) -> tuple[int, float]:
        """Give the parameters the gradients of the batch: its positions and their mean loss.

        `rows` and what of them is `trained`, [B, L], are the whole batch; this process learns from
        its share.
        """
        if self.share.size > 1:
            rows, trained = self._own(rows, trained)
        targets = torch.from_numpy(self.sequences.items[rows[trained] + 1].astype(np.int64))
        hidden_Nd = self.model(batch_of(self.sequences, rows))[torch.from_numpy(trained)]
        weights = torch.from_numpy(self.sequences.weights[rows[trained] + 1])
        loss = self._loss(hidden_Nd, self.index[targets], weights)
        if len(targets):
            loss.backward()
        if self.share.size == 1:
            return len(targets), loss.item()
        mean, weight = (loss.item(), float(weights.sum())) if len(targets) else (0.0, 0.0)
        return average_gradients(list(self.model.parameters()), weight, mean, len(targets))

    def _own(self, rows: np.ndarray, trained: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """This process's rows; at least one, so that it draws as often as the others."""
        own = self.share.of(len(rows))
        chosen = own if len(own) else np.zeros(1, np.int64)
        for dropout in self.dropouts:
            dropout.own, dropout.rows = torch.from_numpy(chosen), len(rows)
        return rows[chosen], trained[chosen] & bool(len(own))

    def _loss(
        self, hidden_Nd: torch.Tensor, targets_N: torch.Tensor, weights_N: torch.Tensor
    ) -> torch.Tensor:
        """The configured objective against the items of the training period."""
        items_Vd = self.model.item_matrix()[self.candidates]
        match self.config.objective:
            case "softmax":
                return softmax_loss(hidden_Nd, items_Vd, targets_N, weights_N)
            case "sigmoid":
                return sigmoid_loss(hidden_Nd, items_Vd, targets_N, weights_N, self.model.offset)
            case "sampled_softmax":
                frequency_V = self.model.counts[self.candidates].float()
                return sampled_softmax_loss(
                    hidden_Nd, items_Vd, targets_N, weights_N, frequency_V, self.config.negatives
                )

    def _set_learning_rate(self, epochs_done: float) -> None:
        """Rise over the first half epoch, then fall in a line to a tenth at `max_epochs`."""
        rise = min(1.0, (epochs_done + 0.02) / 0.5)
        fall = 1 - 0.9 * epochs_done / self.config.max_epochs
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * rise * fall


def _fresh_model(
    sequences: Sequences, catalogue: Catalogue, config: ModelConfig, ends: np.ndarray
) -> NextItemModel:
    """An untrained model that knows the training period's item counts and text basis."""
    # Last features that are always 0, as `recommended` without feedback, take no part at all.
    said = np.zeros(sequences.n_numeric, dtype=bool)
    for positions in blocks_before(sequences, ends):
        said |= (sequences.numeric[positions] != 0).any(0)
    model = NextItemModel(config, catalogue, int(said.nonzero()[0].max(initial=-1)) + 1)
    for column, counts in (
        (sequences.items, model.counts),
        (sequences.behaviors, model.behavior_counts),
    ):
        counts += torch.from_numpy(occurrences(sequences, column, ends, len(counts)))
    if model.has_text:
        rows = model.item_text_rows[model.counts > 0]
        model.text.fit_basis(catalogue.embeddings, rows[rows >= 0].numpy())
        model.text.read(catalogue.embeddings)
    return model
