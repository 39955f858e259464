"""Stage 7: how users answered the lists, and what of it returns to the start of the loop."""

import dagster as dg
from pydantic import Field, model_validator

from llmrec_assets.assets import feedback_steps, s1_raw_events, s6_recommendations
from llmrec_assets.assets.table_metadata import (
    markdown,
    run_metadata,
    static_metadata,
    table_schema,
)
from llmrec_assets.core.behaviors import EXPOSURE
from llmrec_assets.core.rates import rises
from llmrec_assets.resources.behavior_dictionary import BehaviorDictionary
from llmrec_assets.resources.landing import Landing
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.settings import setting
from llmrec_assets.sql import s7_measures as measures_sql
from llmrec_assets.sql import s7_returns as returns_sql
from llmrec_assets.sql.s2_words import register_words
from llmrec_assets.sql.s7_tables import FEEDBACK, SERVED_LISTS

OFF_SCALE = (
    "ratings are outside their scale: set lowest_rating and highest_rating to what users see"
)
SPIRAL_DAYS, SPIRAL_RISE = 14, 0.05
MANY_RESPONSES, MOST_OF_A_DAY = 100, 0.2

feedback_log = dg.AssetSpec(
    "feedback_log",
    kinds={"file"},
    description="Files of impressions and responses that services drop in `landing/feedback/`:"
    " feedback_id, user_id, item_id, timestamp, response, optional list_id, rank, event_id, value."
    " In `landing/lists/`, where there is one: the lists that `llmrec serve` made and users"
    " answered, with the columns of recommendations.",
)


class FeedbackConfig(dg.Config):
    """How responses are joined to lists and counted."""

    window_days: int = Field(
        default=setting("ATTRIBUTION_DAYS", 7, minimum=1),
        description="How long a list can cause a response that does not name it.",
        ge=1,
    )
    keep_days: int = Field(
        default=setting("KEEP_LISTS_DAYS", 90, minimum=1),
        description="How long lists that were made online are kept.",
        ge=1,
    )
    dwell_seconds: float = Field(
        default=setting("DWELL_SECONDS", 5.0, minimum=0),
        description="A response whose value is seconds is not positive below this.",
        ge=0,
    )
    lowest_rating: float = Field(default=1.0, description="Lower end of the scale of ratings.")
    highest_rating: float = Field(
        default=5.0, description="Upper end; a rating from the middle of the scale is positive."
    )

    most_responses_per_day: int = Field(
        default=setting("MOST_RESPONSES_PER_DAY", 1000, minimum=1),
        description="Positive responses of one user and day that return as events at most, so that"
        " nobody can teach the model alone.",
        ge=1,
    )

    @model_validator(mode="after")
    def _scale_has_a_middle(self) -> "FeedbackConfig":
        if self.lowest_rating >= self.highest_rating:
            raise ValueError("lowest_rating must be below highest_rating")
        return self


@dg.asset(
    deps=[feedback_log, s6_recommendations.recommendations],
    kinds={"duckdb"},
    owners=["team:data"],
    metadata={
        **static_metadata(FEEDBACK),
        SERVED_LISTS.full_name: table_schema(SERVED_LISTS),
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

    Positive responses, and those that hide an item, return as a file in the landing zone of events
    where raw_events lacks them; so does the cause of an event that raw_events knows without it.
    """
    behaviors = behavior_dictionary.load()
    before, taken = feedback_steps.ingest(warehouse, landing, behaviors)
    with warehouse.connect() as connection:
        register_words(connection, behaviors, "en")
        events, joined = feedback_steps.join(connection, config)
    returned = "nothing"
    if len(events):
        returned = returns_sql.return_events(events, landing.folder("events"))
    with warehouse.connect() as connection:
        register_words(connection, behaviors, "en")
        returns_sql.mark_returned(connection, events, returned)
        measured = feedback_steps.measure(connection, config, before)
        metadata = run_metadata(connection, FEEDBACK)
    new = int(events["is_new"].sum())
    context.log.info(f"{new} responses return as events in {returned}")
    if measured.off_scale:
        context.log.warning(f"{measured.off_scale} {OFF_SCALE}")
    return dg.MaterializeResult(
        metadata={
            **metadata,
            **taken,
            **joined,
            "returned_events": new,
            "returned_causes": len(events) - new,
            "returned_in": returned,
            "returns_to": dg.MetadataValue.asset(s1_raw_events.event_log.key),
            **measured.metadata(),
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


@dg.asset_check(asset=feedback)
def responses_are_behaviors_of_the_dictionary(
    warehouse: Warehouse, behavior_dictionary: BehaviorDictionary
) -> dg.AssetCheckResult:
    """Every response is an impression or a behaviour of the dictionary."""
    unknown = warehouse.read(
        f"select response, count(*) as responses from {FEEDBACK.full_name}"
        " where positive is null and response <> ? group by all order by 2 desc, 1",
        [EXPOSURE],
    )
    return dg.AssetCheckResult(
        passed=unknown.empty,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"Others count for nothing: add them to {behavior_dictionary.path}.",
        metadata={"unknown_responses": dg.MetadataValue.md(markdown(unknown))},
    )


@dg.asset_check(asset=feedback)
def popularity_does_not_feed_itself(warehouse: Warehouse) -> dg.AssetCheckResult:
    """Impressions do not gather on fewer and fewer items from day to day."""
    with warehouse.connect() as connection:
        days = measures_sql.concentration(connection, SPIRAL_DAYS)
    rising = [name for name in ("gini", "top_share") if rises(days[name].to_numpy(), SPIRAL_RISE)]
    return dg.AssetCheckResult(
        passed=not rising,
        severity=dg.AssetCheckSeverity.WARN,
        description="Popular items gain more and more of the slots: explore more, or let events"
        " that lists caused count less (caused_weight).",
        metadata={
            "rising": ", ".join(rising) or "nothing",
            "by_day": dg.MetadataValue.md(markdown(days.astype({"day": str}).round(4))),
        },
    )


@dg.asset_check(asset=feedback)
def no_user_gives_most_of_a_day(warehouse: Warehouse) -> dg.AssetCheckResult:
    """On no day with many responses did one user give a large share of them."""
    with warehouse.connect() as connection:
        found = measures_sql.largest_share(connection, EXPOSURE, MANY_RESPONSES)
    share = float(found["largest_share"].max()) if len(found) else 0.0
    return dg.AssetCheckResult(
        passed=share <= MOST_OF_A_DAY,
        severity=dg.AssetCheckSeverity.WARN,
        description="One account teaches more than others: most_responses_per_day is the limit to"
        " what of it returns.",
        metadata={
            "largest_share": share,
            "day": str(found["day"][0].date()) if len(found) else "none",
        },
    )
