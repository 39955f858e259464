"""Is a tuned encoder worth having? Next items found by text alone, and beside what counts.

Both are measured on targets that no pair came from, with intervals paired by user.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch

from llmrec_assets.core.blend import fit_powers
from llmrec_assets.core.content import TextSimilarity
from llmrec_assets.core.counting import occurrences
from llmrec_assets.core.intervals import mean_intervals
from llmrec_assets.core.metrics import ndcg
from llmrec_assets.core.ranking import Scorer, evaluate
from llmrec_assets.core.recommender import Experts, Recommender, make_experts
from llmrec_assets.core.sequences import Catalogue, Sequences

CUT = 10
_MOST_USERS, _MOST_SCORES = 2000, 1 << 26
_RECENT = 10  # newest items of a history that text_scorer reads


@dataclass(frozen=True)
class Gain:
    """Masked NDCG@10 with the frozen and the tuned vectors, and where the difference may lie."""

    frozen: float
    tuned: float
    lower: float
    upper: float
    users: int


def sampled(targets: np.ndarray, n_items: int, seed: int) -> np.ndarray:
    """Targets (int64 [U], -1 = none) of as many users as are quickly judged; others -1."""
    users = np.flatnonzero(targets >= 0)
    most = min(_MOST_USERS, max(200, _MOST_SCORES // max(n_items, 1)))
    if len(users) > most:
        users = np.random.default_rng(seed).choice(users, most, replace=False)
    kept = np.full(len(targets), -1, dtype=np.int64)
    kept[users] = targets[users]
    return kept


def few_histories(
    catalogue: Catalogue, sequences: Sequences, targets: np.ndarray, most_items: int, seed: int
) -> tuple[Catalogue, np.ndarray]:
    """(the catalogue with texts of few items alone, the targets of users who need no others).

    For judging an encoder often, where every text that is encoded costs.
    """
    users = np.random.default_rng(seed).permutation(np.flatnonzero(targets >= 0))
    needed, kept = np.zeros(catalogue.n_items + 1, bool), np.full(len(targets), -1, np.int64)
    for user in users:
        end = targets[user]
        needed[sequences.items[max(sequences.offsets[user], end - _RECENT) : end + 1]] = True
        kept[user] = end
        if needed.sum() >= most_items:
            break
    rows = np.where(needed, catalogue.text_rows, -1).astype(np.int32)
    return replace(catalogue, text_rows=rows), kept


def text_scorer(
    catalogue: Catalogue, sequences: Sequences, train_end: np.ndarray, vectors: np.ndarray
) -> Scorer:
    """Ranks by text alone; `vectors` [V+1, D] are those of the items."""
    trained = occurrences(sequences, sequences.items, train_end, catalogue.n_items + 1) > 0
    return TextSimilarity(replace(catalogue, embeddings=vectors), trained)


def text_gain(
    catalogue: Catalogue,
    sequences: Sequences,
    train_end: np.ndarray,
    targets: np.ndarray,
    frozen: np.ndarray,
    tuned: np.ndarray,
) -> Gain:
    """What tuning adds where text is all that ranks."""
    sides = (text_scorer(catalogue, sequences, train_end, own) for own in (frozen, tuned))
    return _gain([_gains(scorer, sequences, targets) for scorer in sides])


def blend_gain(
    catalogue: Catalogue,
    sequences: Sequences,
    train_end: np.ndarray,
    learnt_on: np.ndarray,
    targets: np.ndarray,
    frozen: np.ndarray,
    tuned: np.ndarray,
) -> Gain:
    """What it adds beside counting and words, which need no training and so tell it quickly.

    The powers of each side are learnt on the targets `learnt_on`, the gain is of the others.
    """
    found = []
    for own in (frozen, tuned):
        experts = make_experts(None, sequences, replace(catalogue, embeddings=own), train_end)
        found.append(_gains(_blended(experts, sequences, learnt_on), sequences, targets))
    return _gain(found)


def halves(targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The targets (int64 [U], -1 = none) of every other user, and those of the others."""
    users = np.flatnonzero(targets >= 0)
    one, two = (np.full(len(targets), -1, dtype=np.int64) for _ in range(2))
    one[users[::2]], two[users[1::2]] = targets[users[::2]], targets[users[1::2]]
    return one, two


def _blended(experts: Experts, sequences: Sequences, targets: np.ndarray) -> Recommender:
    prior = experts.prior
    powers = fit_powers(list(prior.values()), sequences, targets, experts.n_items)
    return Recommender(experts, dict(zip(prior, powers, strict=True)), None)


@torch.no_grad()
def _gains(scorer: Scorer, sequences: Sequences, targets: np.ndarray) -> np.ndarray:
    return ndcg(evaluate(scorer, sequences, targets).masked_ranks, CUT)


def _gain(sides: list[np.ndarray]) -> Gain:
    frozen, tuned = sides
    if len(frozen) == 0:
        return Gain(0.0, 0.0, 0.0, 0.0, 0)
    _, lower, upper = mean_intervals((tuned - frozen)[:, None])[0]
    return Gain(float(frozen.mean()), float(tuned.mean()), float(lower), float(upper), len(frozen))
