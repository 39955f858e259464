"""The steps between warehouse, core and registry that stages 5 and 6 share.

Imports torch: assets import this module in their bodies only.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any, Literal

import dagster as dg
import numpy as np
import psutil

from llmrec_assets import core
from llmrec_assets.assets import plots
from llmrec_assets.core.baselines import DecayedMarkov, Popularity
from llmrec_assets.core.checkpoints import load, realign, state
from llmrec_assets.core.config import ModelConfig
from llmrec_assets.core.judging import Judgement, judge
from llmrec_assets.core.leaks import leaks_of_model, leaks_of_split
from llmrec_assets.core.memory import TooLittleMemory, require_memory
from llmrec_assets.core.networks.model import NextItemModel
from llmrec_assets.core.networks.scoring import NetworkScorer
from llmrec_assets.core.ranking import Scorer
from llmrec_assets.core.recommender import Recommender, Weights, fit_weights, make_experts
from llmrec_assets.core.reports import learning_curve_plot, threshold_rows
from llmrec_assets.core.sequences import Catalogue
from llmrec_assets.core.splits import global_time_split, hold_out_last, leave_one_out
from llmrec_assets.core.trainer import NothingToLearn
from llmrec_assets.core.training import EpochReport, Fitted, fit
from llmrec_assets.resources.arrays import Arrays
from llmrec_assets.resources.model_package import ModelPackage, PackageInfo
from llmrec_assets.resources.registry import Registry
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.sql import s2_sequences as sequences_sql
from llmrec_assets.sql import s3_embeddings as embeddings_sql
from llmrec_assets.sql import s5_model as model_sql
from llmrec_assets.sql import training_data
from llmrec_assets.sql.training_data import Scaling, TrainingData

Fit = Literal["evaluation", "global", "final"]
Named = tuple[str, str, Scorer]


@dataclass(frozen=True)
class Inputs:
    """What one training or scoring run reads."""

    data: dict[Fit, TrainingData]
    encoder: str
    statistics_version: str
    scaling: Scaling

    @property
    def final(self) -> TrainingData:
        """All events, scaled by the statistics of all events."""
        return self.data["final"]


def read_inputs(
    warehouse: Warehouse,
    arrays: Arrays,
    scaling: Scaling,
    fits: tuple[Fit, ...] = ("evaluation", "final"),
    statistics_version: str | None = None,
) -> Inputs:
    """Read the training data once for each of `fits`; the newest statistics when none is named."""
    with warehouse.connect() as connection:
        encoder, file = embeddings_sql.current_matrix(connection)
        matrix, words = arrays.open(file), training_data.item_words(connection)
        version = statistics_version or sequences_sql.newest_statistics(connection)
        data: dict[Fit, TrainingData] = {
            fit: training_data.load(
                connection, matrix, words, fit=fit, statistics_version=version, scaling=scaling
            )
            for fit in fits
        }
    return Inputs(data, encoder, version, scaling)


@dataclass(frozen=True)
class Trained:
    """The outcome of one training: a package, or the reason why there is none."""

    version: str
    row: dict[str, Any]  # as in the table temporal_model
    package: ModelPackage | None = None
    curve: tuple[EpochReport, ...] = ()
    reason: str = ""

    def metadata(self) -> dict[str, Any]:
        """What the materialisation shows of it."""
        shown = {
            name: self.row[name]
            for name in ("model_version", "trained_through", "best_epoch", "parameters")
        }
        if self.package is None:
            return {**shown, "not_trained_because": self.reason}
        return {
            **shown,
            "validation_ndcg_at_10": self.row["validation_ndcg_at_10"],
            "config": dg.MetadataValue.json(self.row["config"]),
            "powers": self.package.info.powers,
            "reranked": bool(self.package.reranker),
            "learning_curve": plots.as_metadata(learning_curve_plot(self.curve)),
        }


def memory_needed(inputs: Inputs, config: ModelConfig) -> int:
    """Bytes that training adds to the process, about.

    Raises:
        dagster.Failure: so much is not available; it says what would fit.
    """
    available = psutil.virtual_memory().available
    try:
        return require_memory(config, inputs.final.sequences, inputs.final.catalogue, available)
    except TooLittleMemory as error:
        raise dg.Failure(str(error), allow_retries=False) from error


def code_version() -> str:
    """The package's version and a hash of the sources a model depends on."""
    digest = hashlib.sha256()
    for file in sorted(Path(core.__path__[0]).rglob("*.py")):
        digest.update(file.read_bytes())
    return f"{package_version('llmrec-assets')}+{digest.hexdigest()[:8]}"


def train(inputs: Inputs, config: ModelConfig, report: Callable[[EpochReport], None]) -> Trained:
    """Fit for evaluation, then refit on all events with the best number of epochs."""
    final, judged = inputs.final, inputs.data["evaluation"]
    identity = [final.fingerprint, config.model_dump_json(), code_version(), inputs.encoder]
    digest = hashlib.sha256("\x1f".join(identity).encode()).hexdigest()[:8]
    split = leave_one_out(judged.sequences)
    try:
        evaluation = fit(judged.sequences, judged.catalogue, config, split.train_end, split, report)
        refit = fit(
            final.sequences,
            final.catalogue,
            config,
            final.sequences.offsets[1:],
            report=report,
            epochs=evaluation.best_epoch,
        )
    except NothingToLearn as error:
        version = f"none-{digest}"
        return Trained(version, _row(version, inputs, config, None), reason=str(error))
    version = f"{config.network}-{digest}"
    row = _row(version, inputs, config, evaluation)
    experts = make_experts(evaluation.model, judged.sequences, judged.catalogue, split.train_end)
    weights = fit_weights(experts, judged.sequences, split.validation, config.seed)
    package = ModelPackage(
        _info(version, inputs, config, evaluation, weights),
        state(evaluation.model),
        state(refit.model),
        weights.reranker,
    )
    return Trained(version, row, package, tuple(evaluation.learning_curve))


def _best_ndcg(fitted: Fitted) -> float:
    return fitted.learning_curve[fitted.best_epoch - 1].validation_ndcg or 0.0


def _row(
    version: str, inputs: Inputs, config: ModelConfig, fitted: Fitted | None
) -> dict[str, Any]:
    parameters = sum(p.numel() for p in fitted.model.parameters()) if fitted else 0
    return {
        "model_version": version,
        "trained": fitted is not None,
        "trained_through": inputs.final.through,
        "data_fingerprint": inputs.final.fingerprint,
        "statistics_version": inputs.statistics_version,
        "best_epoch": fitted.best_epoch if fitted else 0,
        "validation_ndcg_at_10": _best_ndcg(fitted) if fitted else 0.0,
        "parameters": parameters,
        "config": {**config.model_dump(), "scaling": inputs.scaling},
    }


def _info(
    version: str, inputs: Inputs, config: ModelConfig, fitted: Fitted, weights: Weights
) -> PackageInfo:
    return PackageInfo(
        version=version,
        config=config.model_dump(),
        items=inputs.final.items,
        behaviors=inputs.final.behaviors,
        encoder=inputs.encoder,
        statistics_version=inputs.statistics_version,
        scaling=inputs.scaling,
        data_fingerprint=inputs.final.fingerprint,
        code_version=code_version(),
        trained_through=inputs.final.through,
        best_epoch=fitted.best_epoch,
        validation_ndcg_at_10=_best_ndcg(fitted),
        powers=weights.powers,
        features=weights.features,
    )


def register(trained: Trained, registry: Registry, dagster_run_id: str) -> dict[str, Any]:
    """Log the training to MLflow and register the model as challenger; metadata that links it."""
    if trained.package is None:
        return {}
    parameters = {**trained.row["config"], "data_fingerprint": trained.row["data_fingerprint"]}
    parameters |= {"code_version": trained.package.info.code_version}
    with registry.run(trained.version, dagster_run_id) as (client, run_id):
        for name, value in parameters.items():
            client.log_param(run_id, name, json.dumps(value) if isinstance(value, dict) else value)
        for epoch in trained.curve:
            client.log_metric(run_id, "train_loss", epoch.train_loss, step=epoch.epoch)
            if epoch.validation_ndcg is not None:
                name = "validation_ndcg_at_10"
                client.log_metric(run_id, name, epoch.validation_ndcg, step=epoch.epoch)
        client.log_figure(run_id, learning_curve_plot(trained.curve), "learning_curve.png")
        number = registry.register(trained.package, run_id)
    return {"mlflow_run": run_id, "mlflow_model_version": number}


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

    Counting takes no training, so an older network still stands beside the newest counts.
    """
    network, info = network_of(package, which, data), package.info
    experts = make_experts(network, data.sequences, data.catalogue, train_end)
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


def baselines(data: TrainingData, train_end: np.ndarray) -> dict[str, Scorer]:
    """Every baseline fitted on the events before `train_end`."""
    n_items = data.catalogue.n_items
    return {
        "popularity": Popularity(data.sequences, n_items, train_end),
        "decayed_markov": DecayedMarkov(data.sequences, n_items, train_end),
    }


def evaluate_versions(
    warehouse: Warehouse,
    arrays: Arrays,
    registry: Registry,
    training: dict[str, Any],
    champion: str | None,
    global_split: bool,
    thresholds: list[float],
) -> tuple[Judgement, list[str]]:
    """Challenger, champion and baselines judged under each protocol, and what was left out."""
    config = json.loads(training["config"])
    scaling = config.pop("scaling")
    version, notes = str(training["model_version"]), []
    inputs = read_inputs(warehouse, arrays, scaling)
    data = inputs.data["evaluation"]
    split = leave_one_out(data.sequences)
    scorers: list[Named] = [(n, "baseline", s) for n, s in baselines(data, split.train_end).items()]
    if training["trained"]:
        challenger = scorer_of(registry.load(version), "evaluation", data, split.train_end)
        scorers.append((version, "challenger", challenger))
        scorers += parts(version, challenger)
    if champion is not None and champion != version:
        package = registry.load(champion)
        reason = incomparable(package, inputs)
        if reason:
            notes.append(f"champion {champion} is not compared: {reason}")
        else:
            own = read_inputs(
                warehouse,
                arrays,
                package.info.scaling,
                ("evaluation",),
                package.info.statistics_version,
            ).data["evaluation"]
            older = scorer_of(package, "evaluation", own, split.train_end)
            scorers.append((champion, "champion", older))
    found, further = [judge("leave_one_out", scorers, data, split)], []
    if config["objective"] == "sigmoid":
        further = [
            threshold_rows(name, scorer, data.sequences, split.test, thresholds)
            for name, role, scorer in scorers
            if isinstance(scorer, NetworkScorer)
        ]
    if data.sequences.relative:
        notes.append("no global time split: the events have relative times, which differ by user")
    elif global_split:
        older_events = read_inputs(warehouse, arrays, scaling, ("global",)).data["global"]
        found.append(_judge_globally(version, older_events, ModelConfig(**config), training))
    return Judgement.joined(found, further), notes


def parts(version: str, challenger: Recommender) -> list[Named]:
    """What the challenger is made of, to see what each part adds."""
    prior = Recommender(challenger.experts, challenger.powers, None)
    return [
        (f"{version}, network alone", "part", challenger.experts.prior["network"]),
        (f"{version}, not reranked", "part", prior),
    ]


def _judge_globally(
    version: str, data: TrainingData, config: ModelConfig, training: dict[str, Any]
) -> Judgement:
    """The judgement of a fit on all events before one time, for each user's next event after it."""
    split = global_time_split(data.sequences)
    scorers: list[Named] = [(n, "baseline", s) for n, s in baselines(data, split.train_end).items()]
    if training["trained"]:
        epochs = int(training["best_epoch"])
        try:
            # The weights are learnt within the past: from each user's last event before the cut.
            past = hold_out_last(data.sequences, split.train_end)
            spans = (data.sequences, data.catalogue)
            model = fit(*spans, config, past.train_end, epochs=epochs).model
            experts = make_experts(model, *spans, past.train_end)
            weights = fit_weights(experts, data.sequences, past.validation, config.seed)
            newest = make_experts(model, *spans, split.train_end)
            scorers.append((version, "challenger", weights.recommender(newest)))
        except NothingToLearn:
            pass  # nobody has two events before the cut: the baselines stand alone
    return judge("global_time", scorers, data, split)


def audit_leaks(warehouse: Warehouse, arrays: Arrays, registry: Registry) -> dict[str, int]:
    """What the newest evaluation fit could see of its targets; all zero when nothing leaks."""
    with warehouse.connect() as connection:
        training = model_sql.newest_training(connection)
    inputs = read_inputs(warehouse, arrays, json.loads(str(training["config"]))["scaling"])
    data = inputs.data["evaluation"]
    sequences, split = data.sequences, leave_one_out(data.sequences)
    leaks = leaks_of_split(sequences, split, data.splits == "train")
    with warehouse.connect() as connection:
        leaks["statistics_beyond_training"] = sequences_sql.statistics_beyond_training(
            connection, inputs.statistics_version
        )
    # A network can only be held against the events that it was trained on.
    if training["trained"] and training["data_fingerprint"] == inputs.final.fingerprint:
        package = registry.load(str(training["model_version"]))
        network = network_of(package, "evaluation", data)
        leaks |= leaks_of_model(network, sequences, data.catalogue, split.train_end)
    return leaks
