"""What can be launched as one run."""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from llmrec_assets.assets import (
    s1_raw_events,
    s2_sequences,
    s3_embeddings,
    s4_features,
    s5_champion,
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
        s1_raw_events.raw_events, s1_raw_events.raw_items, s1_raw_events.rejected_events
    ),
    description="Take in new files of events and items.",
    tags=_limited(HOUR),
)

retrain = dg.define_asset_job(
    "retrain",
    dg.AssetSelection.assets(s2_sequences.clean_events).downstream()
    & dg.AssetSelection.assets(s6_recommendations.recommendations).upstream(),
    description="From the raw events to new lists: clean, encode, train, judge, recommend.",
    tags=_limited(6 * HOUR) | EXCLUSIVE,
)

refresh_lists = dg.define_asset_job(
    "refresh_lists",
    dg.AssetSelection.assets(
        s2_sequences.user_sequences,
        s3_embeddings.text_features,
        s4_features.fused_features,
        s6_recommendations.recommendations,
    ),
    description="From new items to new lists without training: encode their texts, recommend.",
    tags=_limited(6 * HOUR) | EXCLUSIVE,
)

collect_feedback = dg.define_asset_job(
    "collect_feedback",
    dg.AssetSelection.assets(s7_feedback.feedback),
    description="Take in new files of feedback and send responses back as events.",
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
    dg.AssetSelection.all() - dg.AssetSelection.assets(studies.text_ablation),
    description="Every step once, from the landing zone to recommendations and feedback.",
    tags=_limited(6 * HOUR) | EXCLUSIVE,
)

study_texts = dg.define_asset_job(
    "study_texts",
    dg.AssetSelection.assets(studies.text_ablation),
    description="What the texts add: many fits with and without them, compared. Takes hours.",
    tags=_limited(48 * HOUR) | EXCLUSIVE,
)

ALL = [
    ingest, retrain, refresh_lists, collect_feedback, rollback, approve, full_loop, study_texts,
]  # fmt: skip
