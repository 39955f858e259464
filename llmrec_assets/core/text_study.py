"""One variant of what a model is told, fitted and measured like what serves."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from llmrec_assets.core.blend import fit_powers
from llmrec_assets.core.blocks import rows_of
from llmrec_assets.core.config import ModelConfig
from llmrec_assets.core.metrics import ndcg, recall
from llmrec_assets.core.ranking import Scorer, evaluate
from llmrec_assets.core.recommender import Experts, Recommender, fit_weights, make_experts
from llmrec_assets.core.sequences import Catalogue, Sequences
from llmrec_assets.core.splits import Split
from llmrec_assets.core.text_variants import Variant, told
from llmrec_assets.core.training import EpochReport, fit

CUT = 10
GAINS = ("served_ndcg", "served_recall", "network_ndcg", "network_recall")


@dataclass(frozen=True)
class Measured:
    """What every user with a target gains, and what it cost."""

    gains: np.ndarray  # float64 [n, len(GAINS)], masked, at CUT; NaN where there is no network
    epochs: int  # of the network; 0 without one
    cpu_seconds: float  # of fitting and of ranking once for every user


def measure(
    variant: Variant,
    sequences: Sequences,
    catalogue: Catalogue,
    config: ModelConfig,
    split: Split,
    report: Callable[[EpochReport], None] | None = None,
) -> Measured:
    """Fit on the events before `split.train_end`, learn weights on its validation, rank its test.

    Raises:
        NothingToLearn: no position can be trained.
    """
    started, epochs, network = time.process_time(), 0, None
    config = config.model_copy(update={"fusion": variant.fusion or config.fusion})
    sequences, catalogue = told(variant, sequences, catalogue, config.seed)
    if variant.ids:
        fitted = fit(sequences, catalogue, config, split.train_end, split, report)
        experts = make_experts(fitted.model, sequences, catalogue, split.train_end)
        weights = fit_weights(experts, sequences, split.validation, config.seed)
        served, network = weights.recommender(experts), experts.prior["network"]
        epochs = fitted.best_epoch
    else:
        served = _texts_alone(sequences, catalogue, split, config.seed)
    gains = [_gains(served, sequences, catalogue.n_items, split)]
    spent = time.process_time() - started  # the network was asked for what is served, too
    gains.append(
        np.full_like(gains[0], np.nan)
        if network is None
        else _gains(network, sequences, catalogue.n_items, split)
    )
    return Measured(np.hstack(gains), epochs, spent)


def _texts_alone(
    sequences: Sequences, catalogue: Catalogue, split: Split, seed: int
) -> Recommender:
    """The prior of the experts that read texts; the reranker would count events."""
    experts = make_experts(None, sequences, catalogue, split.train_end)
    reading = {name: experts.prior[name] for name in ("words", "texts") if name in experts.prior}
    n_items = catalogue.n_items
    powers = fit_powers(list(reading.values()), sequences, split.validation, n_items, seed=seed)
    of_texts = Experts(reading, {}, experts.clock)
    return Recommender(of_texts, dict(zip(reading, powers, strict=True)), None)


def _gains(scorer: Scorer, sequences: Sequences, n_items: int, split: Split) -> np.ndarray:
    ranks = evaluate(scorer, sequences, split.test, rows_of(n_items)).masked_ranks
    return np.column_stack([ndcg(ranks, CUT), recall(ranks, CUT)])
