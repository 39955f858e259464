"""A list that differs from the model's order, as a request asks."""

import numpy as np

from llmrec_assets.core.diversity import rerank
from llmrec_assets.core.reranking import Reranking
from llmrec_assets.serving.model import Model, Slots

_MOST = 1_000  # candidates that are looked at, beside those that are wanted always


def varied(
    model: Model, candidates: Slots, history: np.ndarray, reranking: Reranking, k: int
) -> Slots:
    """At most `k` of the candidates (best first, all of them allowed), in the order asked for."""
    wanted = np.isin(candidates.codes, list(reranking.always))
    pool = candidates.where(wanted | (np.arange(len(candidates.codes)) < _MOST))
    with np.errstate(divide="ignore"):
        chances = np.log(pool.probabilities)
    chances = np.maximum(chances, -1e3)  # one that underflowed stays a candidate, the last
    places = rerank(pool.codes, chances, model.traits, history, reranking, k)
    return pool.where(places)
