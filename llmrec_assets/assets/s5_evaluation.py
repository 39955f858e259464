"""Stage 5: how good the newest model is, beside the champion and rankings without training."""

from typing import TYPE_CHECKING, Literal, cast, get_args

import dagster as dg
from pydantic import Field, field_validator

from llmrec_assets.assets import plots, s4_features, s5_model
from llmrec_assets.assets.table_metadata import (
    markdown,
    run_metadata,
    static_metadata,
    table_schema,
)
from llmrec_assets.core.behaviors import hiding, in_role
from llmrec_assets.core.config import Baseline
from llmrec_assets.core.deciding import told
from llmrec_assets.resources.arrays import Arrays
from llmrec_assets.resources.behavior_dictionary import BehaviorDictionary
from llmrec_assets.resources.registry import CHAMPION, Registry
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.settings import setting
from llmrec_assets.sql import s5_gate as gate_sql
from llmrec_assets.sql import s5_model as model_sql
from llmrec_assets.sql import s5_off_policy as off_policy_sql
from llmrec_assets.sql.s5_model import (
    MODEL_EVALUATION,
    MODEL_EVALUATION_GUARDED,
    MODEL_EVALUATION_INTERVALS,
    MODEL_EVALUATION_SLICES,
)
from llmrec_assets.sql.s5_off_policy import OFF_POLICY_ESTIMATES

if TYPE_CHECKING:
    from llmrec_assets.core.judging import Judgement

BASELINES = get_args(Baseline)
HIDE_SEEN = setting("EXCLUDE_SEEN", True)
COMPARED = ["popularity", "decayed_markov"] + ([] if HIDE_SEEN else ["own_history"])


class EvaluationConfig(dg.Config):
    """Which protocols a challenger is measured by."""

    global_time_split: bool = Field(
        default=setting("GLOBAL_TIME_SPLIT", True),
        description="Also fit on all events before one time and rank each user's next one.",
    )
    baselines: list[str] = Field(
        default=COMPARED,
        description=f"Rankings without training to compare with, of {', '.join(BASELINES)}. A"
        " model must beat all of them to serve; else the best of them does. Of lists that show"
        " what was seen own_history tells what repeats alone give.",
        min_length=1,
    )
    thresholds: list[float] = Field(
        default=[0.5, 0.1, 0.01],
        description="Under the sigmoid objective: probabilities from which an item counts as"
        " recommended, each with the items and targets that reach it.",
    )
    hide_seen: bool = Field(
        default=HIDE_SEEN,
        description="Lists leave out the items of the history: the gate then decides by targets"
        " that are not in it, where enough users have one. Else items of the history are candidates"
        " in the metrics that decide.",
    )
    reward: Literal["click", "conversion"] = Field(
        default="click",
        description="By which responses an explored slot of a list earns 1 in the off-policy"
        " estimates: those that have this role in the dictionary of behaviours.",
    )
    temperature: float = Field(
        default=setting("EXPLORATION_TEMPERATURE", 1.0, minimum=0.1),
        description="Of the draw that the off-policy estimates of an exploring policy are of.",
        ge=0.1,
    )
    most_weight: float = Field(
        default=100.0, description="Importance weights above this count as this.", gt=0
    )
    curve_users: int = Field(
        default=2000,
        description="Most users, drawn by the seed, that the cost of diversity is told on; 0 for"
        " none.",
        ge=0,
    )

    @field_validator("baselines")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        unknown = sorted(set(names) - set(BASELINES))
        if unknown:
            raise ValueError(f"unknown baselines {unknown}: choose of {', '.join(BASELINES)}")
        return names


@dg.asset(
    deps=[s5_model.temporal_model, s4_features.fused_features],
    kinds={"torch"},
    owners=["team:ml"],
    pool="training",
    metadata={
        **static_metadata(MODEL_EVALUATION),
        MODEL_EVALUATION_SLICES.full_name: table_schema(MODEL_EVALUATION_SLICES),
        MODEL_EVALUATION_INTERVALS.full_name: table_schema(MODEL_EVALUATION_INTERVALS),
        MODEL_EVALUATION_GUARDED.full_name: table_schema(MODEL_EVALUATION_GUARDED),
        OFF_POLICY_ESTIMATES.full_name: table_schema(OFF_POLICY_ESTIMATES),
    },
)
def model_evaluation(
    context: dg.AssetExecutionContext,
    config: EvaluationConfig,
    warehouse: Warehouse,
    arrays: Arrays,
    registry: Registry,
    behavior_dictionary: BehaviorDictionary,
) -> dg.MaterializeResult:
    """One row per metric: challenger and champion beside popularity and decayed Markov.

    Tables beside it tell for whom each is good, how sure the challenger's lead is, and what its
    policy would have earned in slots of earlier lists that were drawn at random.
    """
    from llmrec_assets.assets import evaluation_steps, off_policy_steps

    with warehouse.connect() as connection:
        training = model_sql.newest_training(connection)
        version = str(training["model_version"])
        champion = gate_sql.compared_with(connection, version, registry.alias(CHAMPION))
    judgement, notes, past = evaluation_steps.evaluate_versions(
        warehouse,
        arrays,
        registry,
        training,
        champion,
        config.global_time_split,
        config.thresholds,
        cast(list[Baseline], config.baselines),
        config.hide_seen,
        config.curve_users,
    )
    behaviors = behavior_dictionary.load()
    rewards = in_role(config.reward, behaviors)
    drawing = off_policy_steps.Drawing(config.temperature, tuple(hiding(behaviors)))
    earned, note = off_policy_steps.estimate(
        warehouse, past, champion, rewards, config.most_weight, drawing
    )
    notes.append(note)
    registry.log_test_metrics(version, judgement.rows)
    with warehouse.connect() as connection:
        model_sql.record_evaluation(connection, version, judgement, config.hide_seen)
        off_policy_sql.record_estimates(connection, version, earned)
        metadata = run_metadata(connection, MODEL_EVALUATION)
    for note in notes:
        context.log.info(note)
    if len(earned):
        metadata["off_policy"] = dg.MetadataValue.md(markdown(earned.round(4)))
    return dg.MaterializeResult(
        metadata={**metadata, **shown(judgement, config.hide_seen), "notes": notes}
    )


def shown(judgement: "Judgement", hides_seen: bool) -> dict[str, dg.MetadataValue]:
    """The tables of a judgement and a plot, as metadata."""
    from llmrec_assets.core.reports import evaluation_plot, score_table, slice_table

    kind = told(hides_seen)
    tables = {
        "scores": score_table(judgement.rows),
        "challenger_less_others": judgement.intervals.round(4),
        "challenger_less_champion_by_slice": judgement.guarded.round(4),
        **{
            f"{metric}_by_slice": slice_table(judgement.slices, metric)
            for metric in (f"{kind}ndcg_at_10", f"{kind}recall_at_10")
        },
    }
    plot = plots.as_metadata(evaluation_plot(judgement.rows, judgement.intervals, hides_seen))
    return {
        **{name: dg.MetadataValue.md(markdown(table)) for name, table in tables.items()},
        "plot": plot,
        **shown_curve(judgement),
    }


def shown_curve(judgement: "Judgement") -> dict[str, dg.MetadataValue]:
    """What diversity costs and how much of it is bearable; nothing where items have no texts."""
    from llmrec_assets.core.diversity_curve import bearable
    from llmrec_assets.core.diversity_plot import diversity_plot

    if judgement.curve.empty:
        return {}
    chosen = bearable(judgement.curve)
    return {
        "diversity_curve": dg.MetadataValue.md(markdown(judgement.curve.round(4))),
        "diversity_plot": plots.as_metadata(diversity_plot(judgement.curve, chosen)),
        "diversity_for_1_percent_of_ndcg": dg.MetadataValue.float(chosen),
    }


@dg.asset_check(asset=model_evaluation)
def challenger_beats_the_baselines(warehouse: Warehouse) -> dg.AssetCheckResult:
    """The challenger's NDCG@10 that the gate decides by is above that of every baseline."""
    with warehouse.connect() as connection:
        version = str(model_sql.newest_training(connection)["model_version"])
        scores = gate_sql.scores(connection, version)
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
