"""A model package, or a baseline, as something that ranks the data of now.

Imports torch: assets import this module in their bodies only.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from llmrec_assets.assets.model_inputs import Inputs
from llmrec_assets.core.checkpoints import load, realign
from llmrec_assets.core.config import Baseline, ModelConfig
from llmrec_assets.core.family import fit_baselines
from llmrec_assets.core.networks.model import NextItemModel
from llmrec_assets.core.ranking import Scorer
from llmrec_assets.core.recommender import HISTORIES, Recommender, Weights, make_experts
from llmrec_assets.core.sequences import Catalogue
from llmrec_assets.resources.model_package import ModelPackage
from llmrec_assets.sql.training_data import TrainingData


def network_of(
    package: ModelPackage, which: Literal["evaluation", "final"], data: TrainingData
) -> NextItemModel:
    """The package's network over the items and behaviours of `data`, however old it is."""
    info, catalogue = package.info, data.catalogue
    weights = package.evaluation if which == "evaluation" else package.final
    config = ModelConfig(**info.config)
    if not reads_texts(package):  # texts that came since are for the next training
        catalogue = replace(catalogue, embeddings=catalogue.embeddings[:0])
    if (info.items, info.behaviors) == (data.items, data.behaviors):
        return load(weights, config, catalogue)
    known = Catalogue(
        n_items=len(info.items),
        text_rows=np.full(len(info.items) + 1, -1, dtype=np.int32),
        embeddings=catalogue.embeddings,
        n_behaviors=len(info.behaviors),
    )
    model = load(weights, config, known)
    return realign(model, info.items, data.items, info.behaviors, data.behaviors, catalogue)


def scorer_of(
    package: ModelPackage,
    which: Literal["evaluation", "final"],
    data: TrainingData,
    train_end: np.ndarray,
) -> Recommender:
    """The package's network and weights with counts of the events of `data` before `train_end`.

    Counting takes no training, so an older network still stands beside the newest counts. A
    package of a time when histories were told still ranks where they no longer are.
    """
    network, info = network_of(package, which, data), package.info
    told = HISTORIES in info.powers
    experts = make_experts(network, data.sequences, data.catalogue, train_end, told)
    return Weights(info.powers, info.features, package.reranker).recommender(experts)


def reads_texts(package: ModelPackage) -> bool:
    """Whether the package's network was trained with texts."""
    return "text.mean" in package.final


def incomparable(package: ModelPackage, inputs: Inputs) -> str:
    """Why the package's network cannot read the texts of `inputs`; empty when it can."""
    if package.info.encoder != inputs.encoder:
        return f"it reads texts encoded by {package.info.encoder}"
    has_texts = any(len(data.catalogue.embeddings) for data in inputs.data.values())
    if reads_texts(package) != has_texts:
        return "it was trained " + ("without texts" if has_texts else "with texts")
    return ""


def baselines(
    names: Sequence[Baseline], data: TrainingData, train_end: np.ndarray
) -> dict[str, Scorer]:
    """The named baselines, fitted on the events before `train_end`."""
    return fit_baselines(names, data.sequences, data.catalogue.n_items, train_end)
