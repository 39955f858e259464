"""What speaks for an item in a recommender: texts, behaviour or time.

The prior is a weighted sum of the experts' log-probabilities and the reranker adds a correction, so
that how far an item stands above the user's average candidate is an exact sum of shares.
"""

from collections.abc import Mapping

import numpy as np
import torch

from llmrec_assets.core.candidates import UNSEEN, Candidates
from llmrec_assets.core.item_clock import NAMES as CLOCK
from llmrec_assets.core.recommender import HISTORIES, Recommender
from llmrec_assets.core.reranker import Reranker
from llmrec_assets.core.sequences import Sequences

TIME, RERANKING = "time", "reranking"  # beside the names of the experts
GROUPS = {
    "words": "texts",
    "texts": "texts",
    HISTORIES: "texts",
    TIME: "time",
    RERANKING: "reranking",
}
# What the reranker reads that hangs on when things happened; popularity as such is not time.
_TIMED = {*CLOCK[2:], "last_gap", "share_at_last_time"}


@torch.no_grad()
def contributions(
    recommender: Recommender, sequences: Sequences, end: int, user: int, code: int
) -> dict[str, float]:
    """Shares of an item's lead over the mean of the user's candidates, in nats.

    Args:
        recommender: what is explained.
        sequences: the events.
        end: position after the history's last event.
        user: whose history.
        code: the item.

    Returns:
        For each expert of the prior its power times its lead; `time`, what the reranker's
        correction owes to features of time, told by setting those to their mean; and `reranking`,
        the rest of the correction. They sum up to the lead of the item's log-probability. What the
        network reads of time is in the network's share.
    """
    history = (sequences, np.array([end]), np.array([user]))
    scored, prior_1V, found = recommender.opinions(*history)
    prior = prior_1V[0].clone()
    against = found.codes - 1
    if not len(against):
        against = prior.topk(min(UNSEEN, len(prior))).indices
    item, shares = code - 1, {}
    for name, power in recommender.shares.items():
        shares[name] = power * _lead(scored[name][0], item, against)
    corrections, timed = torch.zeros_like(prior), torch.zeros_like(prior)
    if recommender.reranker is not None and len(found.codes):
        final = recommender.reordered(recommender.reranker, prior_1V, found)[0]
        corrections = final - prior
        names = recommender.feature_names
        timed[found.codes - 1] = _owed_to_time(recommender.reranker, found, names)
    shares[TIME] = _lead(timed, item, against)
    shares[RERANKING] = _lead(corrections, item, against) - shares[TIME]
    return shares


def grouped(shares: Mapping[str, float]) -> dict[str, float]:
    """The shares of texts, behaviour, time and reranking; experts of neither kind count behaviour.

    The network is behaviour, although it reads texts as well.
    """
    groups: dict[str, float] = {"texts": 0.0, "behavior": 0.0, "time": 0.0, "reranking": 0.0}
    for name, share in shares.items():
        groups[GROUPS.get(name, "behavior")] += share
    return groups


def _lead(values_V: torch.Tensor, item: int, against: torch.Tensor) -> float:
    return float(values_V[item].double() - values_V[against].double().mean())


@torch.no_grad()
def _owed_to_time(reranker: Reranker, found: Candidates, names: list[str]) -> torch.Tensor:
    """What of the candidates' scores is gone when features of time are at their mean: [n]."""
    columns = [place for place, name in enumerate(names) if name in _TIMED]
    neutral = found.features.clone()
    neutral[:, columns] = reranker.mean[columns]
    return reranker(found.features) - reranker(neutral)
