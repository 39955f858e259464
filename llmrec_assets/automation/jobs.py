"""What can be launched as one run."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from llmrec_assets.assets import (
    loop_study,
    monitoring,
    s1_raw_events,
    s2_sequences,
    s3_embeddings,
    s4_features,
    s5_champion,
    s5_evaluation,
    s5_model,
    s6_recommendations,
    s7_feedback,
    studies,
)

HOUR = 3600

# Runs that rebuild the same tables take turns; dagster.yaml holds this tag to one run at a time.
EXCLUSIVE = {"llmrec/exclusive": "pipeline"}


def _limited(seconds: int) -> dict[str, str]:
    """Without a limit, run monitoring would leave a killed run started for ever."""
    return {dg.MAX_RUNTIME_SECONDS_TAG: str(seconds)}


ingest = dg.define_asset_job(
    "ingest",
    dg.AssetSelection.assets(
        s1_raw_events.raw_events,
        s1_raw_events.raw_items,
        s1_raw_events.rejected_events,
        monitoring.drift,
    ),
    description="Take in new files of events and items, and see whether the data drifted.",
    tags=_limited(HOUR),
)

# From the raw events to new lists by whoever serves: what every other work ends with.
LISTS = dg.AssetSelection.assets(
    s2_sequences.clean_events,
    s2_sequences.user_sequences,
    s3_embeddings.text_features,
    s4_features.temporal_features,
    s4_features.fused_features,
    s6_recommendations.recommendations,
)
LEARNING = dg.AssetSelection.assets(s5_model.temporal_model).downstream() & (
    dg.AssetSelection.assets(s6_recommendations.recommendations).upstream()
)
# The protocol of one cut in time trains once more, from nothing: a warm start goes without.
FROM_CHAMPION = {
    "ops": {
        s5_model.temporal_model.op.name: {"config": {"start": "champion"}},
        s5_evaluation.model_evaluation.op.name: {"config": {"global_time_split": False}},
    }
}

refresh_lists = dg.define_asset_job(
    "refresh_lists",
    LISTS,
    description="From new events and items to new lists without training; the champion stays.",
    tags=_limited(6 * HOUR) | EXCLUSIVE,
)

expire = dg.define_asset_job(
    "expire",
    LISTS | dg.AssetSelection.assets(s1_raw_events.expiries),
    description="Forget what is older than the retention, and draw new lists without it.",
    tags=_limited(6 * HOUR) | EXCLUSIVE,
)

warm_start = dg.define_asset_job(
    "warm_start",
    LISTS | LEARNING,
    config=FROM_CHAMPION,
    description="From the raw events to new lists: train on from the champion's weights, judge,"
    " recommend.",
    tags=_limited(6 * HOUR) | EXCLUSIVE,
)

retrain = dg.define_asset_job(
    "retrain",
    LISTS | LEARNING,
    description="From the raw events to new lists: train from nothing, judge, recommend.",
    tags=_limited(6 * HOUR) | EXCLUSIVE,
)

retrain_with_encoder = dg.define_asset_job(
    "retrain_with_encoder",
    LISTS | LEARNING | dg.AssetSelection.assets(s3_embeddings.item_encoder),
    description="From the raw events to new lists: tune the encoder, train from nothing, judge,"
    " recommend.",
    tags=_limited(6 * HOUR) | EXCLUSIVE,
)

collect_feedback = dg.define_asset_job(
    "collect_feedback",
    dg.AssetSelection.assets(s7_feedback.feedback, monitoring.drift),
    description="Take in new files of feedback, send responses back as events, and see whether"
    " users still answer.",
    tags=_limited(HOUR),
)


def _serving(act: str) -> dg.ConfigMapping:
    """The config of a job by which a person says who serves: a version, and perhaps why."""

    def by_hand(config: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "ops": {"champion_model": {"config": {"by_hand": act, **config}}},
            "loggers": {"progress": {}},
        }

    return dg.ConfigMapping(
        config_fn=by_hand,
        config_schema={
            "version": dg.Field(str, description="As in s5_model.temporal_model.model_version."),
            "because": dg.Field(str, default_value="", description="Why, for the record."),
        },
    )


SERVED = dg.AssetSelection.assets(s5_champion.champion_model, s6_recommendations.recommendations)

rollback = dg.define_asset_job(
    "rollback",
    SERVED,
    config=_serving("rollback"),
    description="Serve any registered version, and draw new lists by it; config: version.",
    tags=_limited(HOUR) | EXCLUSIVE,
)

approve = dg.define_asset_job(
    "approve",
    SERVED,
    config=_serving("approve"),
    description="Serve the challenger that awaits approval, and draw new lists; config: version.",
    tags=_limited(HOUR) | EXCLUSIVE,
)

full_loop = dg.define_asset_job(
    "full_loop",
    dg.AssetSelection.all()
    - dg.AssetSelection.assets(studies.text_ablation, loop_study.loop_utility),
    description="Every step once, from the landing zone to recommendations and feedback.",
    tags=_limited(6 * HOUR) | EXCLUSIVE,
)

study_texts = dg.define_asset_job(
    "study_texts",
    dg.AssetSelection.assets(studies.text_ablation),
    description="What the texts add: many fits with and without them, compared. Takes hours.",
    tags=_limited(48 * HOUR) | EXCLUSIVE,
)

simulate_cycles = dg.define_asset_job(
    "simulate_cycles",
    dg.AssetSelection.assets(loop_study.loop_utility),
    description="What the loop is worth to simulated users whose tastes turn, beside a model that"
    " is trained once, popularity and an oracle. In stores of its own; takes about an hour.",
    tags=_limited(24 * HOUR),
)

# What draws new lists, by its cost.
WORKS = [refresh_lists, warm_start, retrain, retrain_with_encoder]

ALL = [
    ingest, *WORKS, collect_feedback, expire, rollback, approve, full_loop, study_texts,
    simulate_cycles,
]  # fmt: skip
