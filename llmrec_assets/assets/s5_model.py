"""Stage 5: the trained model, how good it is, and which one serves."""

from typing import TYPE_CHECKING, Literal, cast, get_args

import dagster as dg
import pandas as pd
from pydantic import Field, field_validator

from llmrec_assets.assets import plots, s3_embeddings, s4_features
from llmrec_assets.assets.table_metadata import (
    markdown,
    run_metadata,
    static_metadata,
    table_schema,
)
from llmrec_assets.core import gate
from llmrec_assets.core.config import Baseline, ModelConfig
from llmrec_assets.resources.arrays import Arrays
from llmrec_assets.resources.registry import CHAMPION, Registry
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.settings import choice, setting
from llmrec_assets.sql import s5_model as model_sql
from llmrec_assets.sql.s5_model import (
    CHAMPION_MODEL,
    MODEL_EVALUATION,
    MODEL_EVALUATION_INTERVALS,
    MODEL_EVALUATION_SLICES,
    TEMPORAL_MODEL,
)

if TYPE_CHECKING:
    from llmrec_assets.core.judging import Judgement
    from llmrec_assets.core.training import EpochReport

DEFAULTS = ModelConfig()
BASELINES = get_args(Baseline)


class TrainingConfig(dg.Config):
    """The model and how it is trained. The defaults work without tuning."""

    network: Literal["rnn", "lstm", "gru", "transformer"] = Field(
        default=choice("NETWORK", DEFAULTS.network, ("rnn", "lstm", "gru", "transformer")),
        description="What reads the fused sequence.",
    )
    fusion: Literal["concat", "mean", "weighted", "gate"] = Field(
        default=choice("FUSION", DEFAULTS.fusion, ("concat", "mean", "weighted", "gate")),
        description="How item, text, behaviour and numbers of a step become one vector.",
    )
    objective: Literal["softmax", "sigmoid", "sampled_softmax"] = Field(
        default=choice("OBJECTIVE", DEFAULTS.objective, ("softmax", "sigmoid", "sampled_softmax")),
        description="Softmax over all items, a sigmoid for each, or a softmax over a sample.",
    )
    width: int = Field(default=setting("WIDTH", DEFAULTS.width, minimum=1), ge=1)
    text_width: int = Field(
        default=DEFAULTS.text_width, description="Principal components of a text.", ge=1
    )
    batch_events: int = Field(
        default=DEFAULTS.batch_events, description="Events a training step, about.", ge=1
    )
    layers: int = Field(default=DEFAULTS.layers, ge=1)
    dropout: float = Field(default=DEFAULTS.dropout, ge=0, lt=1)
    max_length: int = Field(
        default=DEFAULTS.max_length, description="Newest events of a user that are read.", ge=1
    )
    learning_rate: float = Field(default=DEFAULTS.learning_rate, gt=0)
    max_epochs: int = Field(default=setting("MAX_EPOCHS", DEFAULTS.max_epochs, minimum=1), ge=1)
    patience: int = Field(
        default=DEFAULTS.patience, description="Epochs without a better validation NDCG.", ge=1
    )
    threads: int = Field(
        default=setting("THREADS", DEFAULTS.threads, minimum=1),
        description="Of the training; a rerun is equal for equal threads.",
        ge=1,
    )
    scaling: Literal["z-score", "min-max"] = Field(
        default="z-score", description="How rating and value are scaled."
    )
    seed: int = Field(default=setting("SEED", 0, minimum=0), description="The one seed of a run.")
    start: Literal["fresh", "champion"] = Field(
        default="fresh", description="From nothing, or for fewer epochs from what serves."
    )

    def model(self) -> ModelConfig:
        """The same choices as the core takes them."""
        return ModelConfig(**self.model_dump(exclude={"scaling", "start"}))


@dg.asset(
    deps=[s4_features.fused_features, s3_embeddings.item_encoder],
    kinds={"torch", "mlflow"},
    owners=["team:ml"],
    pool="training",
    metadata=static_metadata(TEMPORAL_MODEL),
)
def temporal_model(
    context: dg.AssetExecutionContext,
    config: TrainingConfig,
    warehouse: Warehouse,
    arrays: Arrays,
    registry: Registry,
) -> dg.MaterializeResult:
    """One row per model version: next item over the fused sequence.

    A first fit never sees the last two events of a user: it chooses the epoch and is judged. The
    same setting is then fitted on all events, which is what serves if the model wins.
    """
    from llmrec_assets.assets import model_inputs, training_steps, warm_steps

    def report(epoch: "EpochReport") -> None:
        ndcg = f", validation NDCG@10 {epoch.validation_ndcg:.4f}" if epoch.validation_ndcg else ""
        context.log.info(
            f"epoch {epoch.epoch}: loss {epoch.train_loss:.4f}{ndcg}, {epoch.seconds:.1f} s"
        )

    champion = warm_steps.champion(registry, config.start, context.log.info)
    own = champion.info.encoder if champion else None
    inputs = model_inputs.read_inputs(warehouse, arrays, config.scaling, encoder=own)
    megabytes = training_steps.memory_needed(inputs, config.model()) / 1e6
    context.log.info(f"training will take about {megabytes:.0f} MB more than it has now")
    trained = training_steps.train(inputs, config.model(), report, champion, context.log.info)
    links = training_steps.register(trained, registry, context.run.run_id)
    with warehouse.connect() as connection:
        model_sql.record_training(connection, trained.row)
        metadata = run_metadata(connection, TEMPORAL_MODEL)
    if trained.package is None:
        context.log.warning(f"no model was trained: {trained.reason}")
    return dg.MaterializeResult(
        metadata={
            **metadata,
            **links,
            **trained.metadata(),
            "items_through": inputs.final.items_through,
        },
        data_version=dg.DataVersion(trained.version),
    )


@dg.asset_check(asset=temporal_model, blocking=True)
def weights_are_finite(warehouse: Warehouse, registry: Registry) -> dg.AssetCheckResult:
    """Every number of the newest model is finite."""
    with warehouse.connect() as connection:
        row = model_sql.newest_training(connection)
    if not row["trained"]:
        return dg.AssetCheckResult(passed=True, description="there was nothing to learn from")
    package = registry.load(str(row["model_version"]))
    broken = [
        name
        for fit in (package.evaluation, package.final)
        for name, tensor in fit.items()
        if not tensor.isfinite().all()
    ]
    return dg.AssetCheckResult(passed=not broken, metadata={"not_finite": broken})


class EvaluationConfig(dg.Config):
    """Which protocols a challenger is measured by."""

    global_time_split: bool = Field(
        default=setting("GLOBAL_TIME_SPLIT", True),
        description="Also fit on all events before one time and rank each user's next one.",
    )
    baselines: list[str] = Field(
        default=["popularity", "decayed_markov"],
        description=f"Rankings without training to compare with, of {', '.join(BASELINES)}. A"
        " model must beat all of them to serve; else the best of them does.",
        min_length=1,
    )
    thresholds: list[float] = Field(
        default=[0.5, 0.1, 0.01],
        description="Under the sigmoid objective: probabilities from which an item counts as"
        " recommended, each with the items and targets that reach it.",
    )

    @field_validator("baselines")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        unknown = sorted(set(names) - set(BASELINES))
        if unknown:
            raise ValueError(f"unknown baselines {unknown}: choose of {', '.join(BASELINES)}")
        return names


@dg.asset(
    deps=[temporal_model, s4_features.fused_features],
    kinds={"torch"},
    owners=["team:ml"],
    pool="training",
    metadata={
        **static_metadata(MODEL_EVALUATION),
        MODEL_EVALUATION_SLICES.full_name: table_schema(MODEL_EVALUATION_SLICES),
        MODEL_EVALUATION_INTERVALS.full_name: table_schema(MODEL_EVALUATION_INTERVALS),
    },
)
def model_evaluation(
    context: dg.AssetExecutionContext,
    config: EvaluationConfig,
    warehouse: Warehouse,
    arrays: Arrays,
    registry: Registry,
) -> dg.MaterializeResult:
    """One row per metric: challenger and champion beside popularity and decayed Markov.

    Two tables beside it tell for whom each is good, and how sure the challenger's lead is.
    """
    from llmrec_assets.assets import evaluation_steps

    with warehouse.connect() as connection:
        training = model_sql.newest_training(connection)
    version, champion = str(training["model_version"]), registry.alias(CHAMPION)
    judgement, notes = evaluation_steps.evaluate_versions(
        warehouse,
        arrays,
        registry,
        training,
        champion,
        config.global_time_split,
        config.thresholds,
        cast(list[Baseline], config.baselines),
    )
    registry.log_test_metrics(version, judgement.rows)
    with warehouse.connect() as connection:
        model_sql.record_evaluation(connection, version, judgement)
        metadata = run_metadata(connection, MODEL_EVALUATION)
    for note in notes:
        context.log.info(note)
    return dg.MaterializeResult(metadata={**metadata, **shown(judgement), "notes": notes})


def shown(judgement: "Judgement") -> dict[str, dg.MarkdownMetadataValue]:
    """The tables of a judgement and a plot, as metadata."""
    from llmrec_assets.core.reports import evaluation_plot, score_table, slice_table

    tables = {
        "scores": score_table(judgement.rows),
        "challenger_less_others": judgement.intervals.round(4),
        **{
            f"{metric}_by_slice": slice_table(judgement.slices, metric)
            for metric in ("masked_ndcg_at_10", "masked_recall_at_10")
        },
    }
    plot = plots.as_metadata(evaluation_plot(judgement.rows, judgement.intervals))
    return {
        **{name: dg.MetadataValue.md(markdown(table)) for name, table in tables.items()},
        "plot": plot,
    }


@dg.asset_check(asset=model_evaluation)
def challenger_beats_the_baselines(warehouse: Warehouse) -> dg.AssetCheckResult:
    """The challenger's masked NDCG@10 is above that of every baseline."""
    with warehouse.connect() as connection:
        version = str(model_sql.newest_training(connection)["model_version"])
        scores = masked_ndcg(model_sql.evaluation_of(connection, version))
    best = max(scores["baseline"].values())
    own = max(scores.get("challenger", {}).values(), default=0.0)
    return dg.AssetCheckResult(
        passed=own > best,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"challenger": own, "best_baseline": best},
    )


@dg.asset_check(asset=model_evaluation, blocking=True)
def no_target_leaks(
    warehouse: Warehouse, arrays: Arrays, registry: Registry
) -> dg.AssetCheckResult:
    """No held-out event reached the fit: its split, statistics, vocabulary, sampler or texts."""
    from llmrec_assets.assets import evaluation_steps

    leaks = evaluation_steps.audit_leaks(warehouse, arrays, registry)
    return dg.AssetCheckResult(passed=not any(leaks.values()), metadata=leaks)


@dg.asset(
    deps=[model_evaluation],
    kinds={"mlflow"},
    owners=["team:ml"],
    metadata=static_metadata(CHAMPION_MODEL),
)
def champion_model(
    context: dg.AssetExecutionContext, warehouse: Warehouse, registry: Registry
) -> dg.MaterializeResult:
    """One row per decision: the challenger is promoted, the champion kept, or a baseline serves."""
    with warehouse.connect() as connection:
        training = model_sql.newest_training(connection)
        version, through = str(training["model_version"]), int(str(training["trained_through"]))
        scores = masked_ndcg(model_sql.evaluation_of(connection, version))
    decision = gate.decide(
        scores["baseline"],
        next(iter(scores.get("challenger", {}).items()), None),
        next(iter(scores.get("champion", {}).items()), None),
    )
    if decision.kind == "model":
        registry.promote(decision.served, decision.reason)
    else:
        registry.demote()
    with warehouse.connect() as connection:
        model_sql.record_decision(connection, version, through, decision)
        metadata = run_metadata(connection, CHAMPION_MODEL)
    context.log.info(f"{decision.outcome}: {decision.served} serves ({decision.reason})")
    return dg.MaterializeResult(
        metadata={**metadata, **vars(decision), "judged_through": through, "challenger": version}
    )


def masked_ndcg(rows: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Role → scorer → masked NDCG@10 of leave-one-out."""
    chosen = rows[(rows["protocol"] == "leave_one_out") & (rows["metric"] == "masked_ndcg_at_10")]
    return {
        str(role): dict(zip(group["scorer"], group["score"], strict=True))
        for role, group in chosen.groupby("role")
    }
