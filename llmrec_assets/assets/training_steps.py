"""How the model of stage 5 is trained, packed and registered.

Imports torch: assets import this module in their bodies only.
"""

import hashlib
import json
import platform
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

import dagster as dg
import psutil

from llmrec_assets import core
from llmrec_assets.assets import plots
from llmrec_assets.assets.model_inputs import Inputs
from llmrec_assets.assets.warm_steps import Start, start_of
from llmrec_assets.core.checkpoints import state
from llmrec_assets.core.config import ModelConfig
from llmrec_assets.core.memory import TooLittleMemory, require_memory
from llmrec_assets.core.recommender import Weights, fit_weights, make_experts
from llmrec_assets.core.reports import learning_curve_plot
from llmrec_assets.core.splits import leave_one_out
from llmrec_assets.core.trainer import NothingToLearn
from llmrec_assets.core.training import EpochReport, Fitted, fit
from llmrec_assets.core.warm_start import CannotContinue
from llmrec_assets.resources.engine import Engine
from llmrec_assets.resources.model_package import ModelPackage, PackageInfo
from llmrec_assets.resources.registry import Registry, log_file


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
            "started_from": self.package.info.started_from or "nothing",
            "fresh_through": self.package.info.fresh_through,
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


def train(
    inputs: Inputs,
    config: ModelConfig,
    report: Callable[[EpochReport], None],
    champion: ModelPackage | None = None,
    say: Callable[[str], None] = print,
    engine: Engine | None = None,
) -> Trained:
    """Fit for evaluation, then refit on all events with the best number of epochs.

    Both go on from the weights of a `champion`; where they cannot, `say` tells why, and both start
    afresh. With an `engine` its workers train together.
    """
    fit = fit_by(engine or Engine(), report)
    try:
        return _train(inputs, start_of(champion, inputs, config), fit)
    except CannotContinue as error:
        say(f"a fresh start instead of a warm one: of the champion, {error}")
        return _train(inputs, start_of(None, inputs, config), fit)


def fit_by(engine: Engine, report: Callable[[EpochReport], None]) -> Callable[..., Fitted]:
    """`fit` in this process, or by the engine's workers together; it reports each epoch."""

    def fitted(*span: Any, **choices: Any) -> Fitted:  # noqa: ANN401 - those of `fit`
        return engine.run_together(partial(_fit, *span, **choices), report)

    return fitted


def _fit(*span_and_tell: Any, **choices: Any) -> Fitted:  # noqa: ANN401
    *span, tell = span_and_tell
    return fit(*span, report=tell, **choices)


def _train(inputs: Inputs, start: Start, fit: Callable[..., Fitted]) -> Trained:
    """`train` from one start.

    Raises:
        CannotContinue: the weights of `start` are none to go on from.
    """
    final, judged, config = inputs.final, inputs.data["evaluation"], start.config
    identity = [final.fingerprint, config.model_dump_json(), code_version(), inputs.encoder]
    identity += [start.version] if start.version else []
    digest = hashlib.sha256("\x1f".join(identity).encode()).hexdigest()[:8]
    split = leave_one_out(judged.sequences)
    try:
        evaluation = fit(
            judged.sequences,
            judged.catalogue,
            config,
            split.train_end,
            split=split,
            start=start.evaluation,
        )
        refit = fit(
            final.sequences,
            final.catalogue,
            config,
            final.sequences.offsets[1:],
            epochs=evaluation.best_epoch,
            start=start.final,
        )
    except NothingToLearn as error:
        version = f"none-{digest}"
        return Trained(version, _row(version, inputs, config, None), reason=str(error))
    version = f"{config.network}-{digest}"
    row = _row(version, inputs, config, evaluation)
    experts = make_experts(evaluation.model, judged.sequences, judged.catalogue, split.train_end)
    weights = fit_weights(experts, judged.sequences, split.validation, config.seed)
    package = ModelPackage(
        _info(version, inputs, start, evaluation, weights),
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
    version: str, inputs: Inputs, start: Start, fitted: Fitted, weights: Weights
) -> PackageInfo:
    return PackageInfo(
        version=version,
        config=start.config.model_dump(),
        items=inputs.final.items,
        behaviors=inputs.final.behaviors,
        encoder=inputs.encoder,
        statistics_version=inputs.statistics_version,
        scaling=inputs.scaling,
        data_fingerprint=inputs.final.fingerprint,
        code_version=code_version(),
        trained_through=inputs.final.through,
        started_from=start.version,
        fresh_through=start.fresh_through,
        best_epoch=fitted.best_epoch,
        validation_ndcg_at_10=_best_ndcg(fitted),
        powers=weights.powers,
        features=weights.features,
    )


def environment() -> dict[str, str]:
    """Versions that numbers can depend on."""
    packages = ("torch", "numpy", "scipy", "duckdb", "scikit-learn", "sentence-transformers")
    versions = {name: package_version(name) for name in packages}
    return {"python": platform.python_version(), "machine": platform.machine(), **versions}


def register(trained: Trained, registry: Registry, dagster_run_id: str) -> dict[str, Any]:
    """Log the training to MLflow and register the model as challenger; metadata that links it."""
    if trained.package is None:
        return {}
    parameters = {**trained.row["config"], "data_fingerprint": trained.row["data_fingerprint"]}
    info = trained.package.info
    parameters |= {"code_version": info.code_version, "started_from": info.started_from}
    parameters |= {"environment": environment()}
    with registry.run(trained.version, dagster_run_id) as (client, run_id):
        for name, value in parameters.items():
            client.log_param(run_id, name, json.dumps(value) if isinstance(value, dict) else value)
        for epoch in trained.curve:
            client.log_metric(run_id, "train_loss", epoch.train_loss, step=epoch.epoch)
            if epoch.validation_ndcg is not None:
                name = "validation_ndcg_at_10"
                client.log_metric(run_id, name, epoch.validation_ndcg, step=epoch.epoch)
        plot = learning_curve_plot(trained.curve)
        log_file(client, run_id, "learning_curve.png", plot.savefig)
        number = registry.register(trained.package, run_id)
    return {"mlflow_run": run_id, "mlflow_model_version": number}
