"""The Dagster code location: stages in the order of the flow, resources and global policies."""

from itertools import chain

import dagster as dg

from llmrec_assets.assets import (
    contracts,
    loop_study,
    monitoring,
    s1_item_checks,
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
from llmrec_assets.automation import failures, jobs, schedules, sensors
from llmrec_assets.automation.progress import progress
from llmrec_assets.layout import Layout
from llmrec_assets.resources.wiring import resources_of
from llmrec_assets.run_health import watched_in_process_executor

STAGES = {
    "s1_raw_events": [s1_raw_events, s1_item_checks, contracts],
    "s2_sequences": [s2_sequences],
    "s3_embeddings": [s3_embeddings],
    "s4_features": [s4_features],
    "s5_model": [s5_model, s5_evaluation, s5_champion],
    "s6_recommendations": [s6_recommendations],
    "s7_feedback": [s7_feedback],
    "monitoring": [monitoring],
}
GROUPS = {**STAGES, "studies": [studies, loop_study]}  # what the daily flow leaves out comes last

defs = dg.Definitions(
    assets=[
        asset
        for group, modules in GROUPS.items()
        for asset in dg.load_assets_from_modules(modules, group_name=group, include_specs=True)
    ],
    asset_checks=dg.load_asset_checks_from_modules(chain(*GROUPS.values())),
    jobs=jobs.ALL,
    sensors=[*sensors.ALL, *failures.ALL],
    schedules=schedules.ALL,
    resources=resources_of(Layout.from_environment()),
    loggers={"progress": progress},
    executor=watched_in_process_executor,  # the flow is a chain: one process, one torch import
)
