"""Stage 7: how users answered the lists, and what of it returns to the start of the loop."""

import dagster as dg
from pydantic import Field

from llmrec_assets.assets import feedback_steps, s1_raw_events, s6_recommendations
from llmrec_assets.assets.table_metadata import markdown, run_metadata, static_metadata
from llmrec_assets.resources.behavior_dictionary import BehaviorDictionary
from llmrec_assets.resources.landing import Landing
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.settings import setting
from llmrec_assets.sql import s7_feedback as feedback_sql
from llmrec_assets.sql.s2_sequences import register_words
from llmrec_assets.sql.s7_feedback import FEEDBACK

feedback_log = dg.AssetSpec(
    "feedback_log",
    kinds={"file"},
    description="Files of impressions and responses that services drop in landing/feedback.",
)


class FeedbackConfig(dg.Config):
    """How responses are joined to lists and counted."""

    window_days: int = Field(
        default=setting("ATTRIBUTION_DAYS", 7, minimum=1),
        description="How long a list can cause a response that does not name it.",
        ge=1,
    )
    click_responses: list[str] = Field(default=["click", "read", "play", "view"])
    conversion_responses: list[str] = Field(default=["buy", "purchase"])


@dg.asset(
    deps=[feedback_log, s6_recommendations.recommendations],
    kinds={"duckdb"},
    owners=["team:data"],
    metadata={
        **static_metadata(FEEDBACK),
        "returns_to": dg.MetadataValue.asset(s1_raw_events.event_log.key),
    },
)
def feedback(
    context: dg.AssetExecutionContext,
    config: FeedbackConfig,
    warehouse: Warehouse,
    landing: Landing,
    behavior_dictionary: BehaviorDictionary,
) -> dg.MaterializeResult:
    """One row per impression or response, with the list that caused it.

    Positive responses that raw_events lacks return as a file in the landing zone of events.
    """
    taken = feedback_steps.ingest(warehouse, landing)
    with warehouse.connect() as connection:
        feedback_sql.attribute(connection, config.window_days)
        register_words(connection, behavior_dictionary.load(), "en")
        events = feedback_sql.pending_events(connection)
    returned = "nothing"
    if len(events):
        returned = feedback_sql.return_events(events, landing.folder("events"))
    with warehouse.connect() as connection:
        feedback_sql.mark_returned(connection, events, returned)
        rates = feedback_sql.measure(
            connection, config.click_responses, config.conversion_responses
        )
        metadata = run_metadata(connection, FEEDBACK)
    context.log.info(f"{len(events)} responses return as events in {returned}")
    return dg.MaterializeResult(
        metadata={
            **metadata,
            **taken,
            "returned_events": len(events),
            "returned_in": returned,
            "returns_to": dg.MetadataValue.asset(s1_raw_events.event_log.key),
            "response_rates": dg.MetadataValue.md(markdown(rates.round(4))),
        }
    )


@dg.asset_check(asset=feedback)
def lists_named_by_feedback_are_known(warehouse: Warehouse) -> dg.AssetCheckResult:
    """Every list_id that feedback names is a list that showed the user the item."""
    unknown = warehouse.read(
        f"select count(*) as n from {FEEDBACK.full_name}"
        " where list_id is not null and attribution is distinct from 'list_id'"
    )
    return dg.AssetCheckResult(
        passed=int(unknown["n"][0]) == 0,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"responses_to_unknown_lists": int(unknown["n"][0])},
    )
