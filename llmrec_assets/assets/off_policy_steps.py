"""What the challenger's policy would have earned where earlier lists were filled at random.

Imports torch: assets import this module in their bodies only.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from llmrec_assets.core.blocks import parts_of
from llmrec_assets.core.off_policy import (
    FOLDS,
    Slots,
    effective_sample,
    estimates,
    item_rewards,
    weights,
)
from llmrec_assets.core.policies import LEAST, Choices, choices
from llmrec_assets.core.ranking import NEVER, Scorer, exclude_seen
from llmrec_assets.core.sequences import Sequences, flat_rows
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.sql import s5_off_policy as off_policy_sql
from llmrec_assets.sql.training_data import TrainingData

STRAGGLERS = 0.01  # share of a fit's events that may be newer than the lists it is asked about


@dataclass(frozen=True)
class PastFit:
    """A challenger's setting, fitted on all events before one time."""

    scorer: Scorer
    data: TrainingData
    train_end: np.ndarray  # int64 [U], absolute position: it saw the user's events before


@dataclass(frozen=True)
class Drawing:
    """How the fit's own lists would be drawn: as stage 6 draws them."""

    temperature: float = 1.0
    hiding: tuple[str, ...] = ()  # behaviours after which an item is not shown to its user


@dataclass(frozen=True)
class Log:
    """B logged lists of K slots at most, in the order in which slots were filled."""

    users: np.ndarray  # int64 [B], codes
    ends: np.ndarray  # int64 [B], position after the last event that the list knew
    shown: np.ndarray  # int64 [B, K], item codes, 0 = none
    asked: np.ndarray  # bool [B, K], drawn at random and shown to the user
    propensities: np.ndarray  # float64 [B, K]
    rewards: np.ndarray  # float64 [B, K]

    def __getitem__(self, kept: np.ndarray | slice) -> "Log":
        """Some of the lists."""
        return Log(**{name: values[kept] for name, values in vars(self).items()})


def estimate(
    warehouse: Warehouse,
    fit: PastFit | None,
    maker: str | None,
    rewards: list[str],
    most_weight: float,
    drawing: Drawing = Drawing(),
) -> tuple[pd.DataFrame, str]:
    """Rows of off_policy_estimates but the version, or none; and what is to be said of them."""
    if fit is None:
        return pd.DataFrame(), "no off-policy estimate: there is no fit on the past alone"
    with warehouse.connect() as connection:
        rows = off_policy_sql.logged_lists(connection, maker, rewards)
        seqs = off_policy_sql.event_seqs(connection).to_numpy()
    by = f" by {maker}" if maker else ""
    if rows.empty:
        return rows, f"no off-policy estimate: no explored slot{by} was shown to a user"
    through = rows.groupby("list_id", sort=True)["through"].first().to_numpy()
    log = read_log(rows, through, fit.data, seqs)
    usable = _unknown_answers(log, through, fit, seqs)
    if not usable.any():
        return rows[:0], f"no off-policy estimate: the fit knows answers to all lists{by}"
    found = _estimates(log[usable], fit, most_weight, drawing)
    return found, f"off-policy estimates from {usable.sum()} of {len(usable)} explored lists{by}"


def read_log(rows: pd.DataFrame, through: np.ndarray, data: TrainingData, seqs: np.ndarray) -> Log:
    """The logged lists as arrays; a user or an item that is gone has code -1 or 0."""
    lists, of_row = np.unique(rows["list_id"].to_numpy(dtype=str), return_inverse=True)
    place = rows.groupby("list_id", sort=False).cumcount().to_numpy()
    shape = (len(lists), int(place.max()) + 1)
    codes = pd.Index(data.items).get_indexer(pd.Index(rows["item_id"])) + 1

    def table(values: np.ndarray) -> np.ndarray:
        filled = np.zeros(shape, dtype=values.dtype)
        filled[of_row, place] = values
        return filled

    names = rows.groupby("list_id", sort=True)["user_id"].first()
    users = pd.Index(data.users).get_indexer(pd.Index(names)).astype(np.int64)
    return Log(
        users,
        _ends(users, through, data, seqs),
        table(codes.astype(np.int64)),
        table((rows["explored"] & rows["shown"]).to_numpy(dtype=bool)),
        table(rows["propensity"].to_numpy(dtype=np.float64)),
        table(rows["rewarded"].to_numpy(dtype=np.float64)),
    )


def _ends(
    users: np.ndarray, through: np.ndarray, data: TrainingData, seqs: np.ndarray
) -> np.ndarray:
    """Where each history had its first event that the list did not know, int64 [B]."""
    starts, ends = data.sequences.starts[users], data.sequences.offsets[users + 1].copy()
    positions, rows = flat_rows(starts, ends)
    late = seqs[positions] > through[rows]
    np.minimum.at(ends, rows[late], positions[late])
    return ends


def _unknown_answers(log: Log, through: np.ndarray, fit: PastFit, seqs: np.ndarray) -> np.ndarray:
    """Which lists, bool [B], are newer than what the fit was trained on.

    A fit that learnt from the answers would be found good at them. Lists are left out with all of
    their time, so that it does not depend on the answers which ones are.
    """
    positions, _ = flat_rows(fit.data.sequences.starts, fit.train_end)
    known = np.sort(seqs[positions])
    newer = (len(known) - np.searchsorted(known, through, "right")) / max(len(known), 1)
    users = np.maximum(log.users, 0)
    own = (log.ends >= fit.train_end[users]) & (log.ends > fit.data.sequences.starts[users])
    return (newer <= STRAGGLERS) & own & (log.users >= 0)


def _estimates(log: Log, fit: PastFit, most_weight: float, drawing: Drawing) -> pd.DataFrame:
    asked, n_items = log.asked, fit.data.catalogue.n_items
    users = np.repeat(log.users, asked.sum(1))
    predicted = item_rewards(log.shown[asked], log.rewards[asked], users % FOLDS, n_items)
    policies = _policies(log, fit, predicted, drawing)
    rows: list[dict[str, Any]] = []
    for policy, own in policies.items():
        slots = Slots(
            log.rewards[asked],
            log.propensities[asked],
            own.chances[asked],
            predicted[users % FOLDS, log.shown[asked]],
            own.expected[asked],
            users,
        )
        weight = weights(slots, most_weight)
        facts = {
            "slots": len(users),
            "users": len(np.unique(users)),
            "effective_sample": effective_sample(weight),
            "mean_weight": float(weight.mean()),
            "most_weight": most_weight,
        }
        for found in estimates(slots, most_weight):
            if found.estimator != "logged":
                rows.append({"policy": policy, **vars(found), **facts})
            elif not rows:
                own_facts = {"effective_sample": float(len(users)), "mean_weight": 1.0}
                rows.append({"policy": "logged", **vars(found), **facts, **own_facts})
    return pd.DataFrame(rows)


@torch.no_grad()
def _policies(
    log: Log, fit: PastFit, predicted: np.ndarray, drawing: Drawing
) -> dict[str, Choices]:
    """What the fit's policies would show in every slot of the lists."""
    sequences, n_items = fit.data.sequences, fit.data.catalogue.n_items
    hide, hides = not _shows_seen(log, fit), _hides(fit.data, drawing.hiding)
    blocks = []
    for part in parts_of(len(log.users), n_items):
        block = log[part]
        logits = fit.scorer.logits(sequences, block.ends, block.users)
        likely = logits.softmax(1).double().clamp(min=LEAST)
        probabilities = likely ** (1 / drawing.temperature)
        if hide:
            exclude_seen(logits, sequences, block.ends, block.users)
        _exclude_hidden(logits, sequences, hides, block)
        probabilities[logits.isneginf()] = 0.0
        rewards = predicted[block.users % FOLDS]
        blocks.append(choices(probabilities.numpy(), block.shown, rewards))
    return {
        policy: Choices(
            np.concatenate([block[policy].chances for block in blocks]),
            np.concatenate([block[policy].expected for block in blocks]),
        )
        for policy in blocks[0]
    }


def _hides(data: TrainingData, hiding: tuple[str, ...]) -> np.ndarray:
    """Which events, bool [N], hide their item from their user."""
    return np.append(False, np.isin(data.behaviors, hiding))[data.sequences.behaviors]


def _exclude_hidden(
    logits: torch.Tensor, sequences: Sequences, hides: np.ndarray, block: Log
) -> None:
    """Set the scores of what each user had hidden when the list was made to -inf, in place."""
    positions, rows = flat_rows(sequences.starts[block.users], block.ends)
    hidden = hides[positions]
    items = sequences.items[positions[hidden]].astype(np.int64)
    logits[torch.from_numpy(rows[hidden]), torch.from_numpy(items)] = NEVER


def _shows_seen(log: Log, fit: PastFit) -> bool:
    """Whether any slot that was drawn got an item of its user's history: then all could."""
    sequences, width = fit.data.sequences, fit.data.catalogue.n_items + 1
    positions, rows = flat_rows(sequences.starts[log.users], log.ends)
    seen = rows * width + sequences.items[positions]
    lists = np.repeat(np.arange(len(log.users)), log.asked.sum(1))
    return bool(np.isin(lists * width + log.shown[log.asked], seen).any())
