"""Stage 6: a list for every user, for the step after all events."""

import dagster as dg
from pydantic import Field

from llmrec_assets.assets import s4_features, s5_champion
from llmrec_assets.assets.table_metadata import run_metadata, static_metadata
from llmrec_assets.core.behaviors import hiding
from llmrec_assets.resources.arrays import Arrays
from llmrec_assets.resources.behavior_dictionary import BehaviorDictionary
from llmrec_assets.resources.engine import Engine
from llmrec_assets.resources.publisher import Publisher
from llmrec_assets.resources.registry import CHAMPION, Registry
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.settings import setting
from llmrec_assets.sql import s5_model as model_sql
from llmrec_assets.sql import s6_recommendations as lists_sql
from llmrec_assets.sql.s6_recommendations import RECOMMENDATIONS


class RecommendationsConfig(dg.Config):
    """What a list looks like."""

    top_k: int = Field(default=setting("TOP_K", 20, minimum=1), description="Items a list.", ge=1)
    exclude_seen: bool = Field(
        default=setting("EXCLUDE_SEEN", True),
        description="Leave out the items of the user's history.",
    )
    exploration: float = Field(
        default=setting("EXPLORATION", 0.0, minimum=0, maximum=1),
        description="Share of a list's slots, the last ones, that are drawn at random in proportion"
        " to probability; rounded to whole slots.",
        ge=0,
        le=1,
    )
    temperature: float = Field(
        default=setting("EXPLORATION_TEMPERATURE", 1.0, minimum=0.1),
        description="Of that draw: above 1 unlikely items are drawn more often, up to all alike.",
        ge=0.1,
    )
    diversity: float = Field(
        default=setting("DIVERSITY", 0.0, minimum=0, maximum=1),
        description="How far a list is varied by texts (MMR): 0 is the model's order. What it costs"
        " stands in the metadata of model_evaluation.",
        ge=0,
        le=1,
    )
    keep_days: int = Field(
        default=setting("KEEP_LISTS_DAYS", 90, minimum=1),
        description="How long lists are kept, so that feedback finds the one that caused it.",
        ge=1,
    )
    seed: int = Field(default=setting("SEED", 0, minimum=0), description="The one seed of a run.")


@dg.asset(
    deps=[s5_champion.champion_model, s4_features.fused_features],
    kinds={"parquet", "duckdb"},
    owners=["team:ml"],
    metadata=static_metadata(RECOMMENDATIONS),
)
def recommendations(
    config: RecommendationsConfig,
    warehouse: Warehouse,
    arrays: Arrays,
    registry: Registry,
    publisher: Publisher,
    behavior_dictionary: BehaviorDictionary,
    engine: Engine,
) -> dg.MaterializeResult:
    """One row per user and rank, by whoever serves; published as Parquet, replaced atomically.

    Beside it, for `llmrec serve`, a package of all that the lists were made of.

    Lists of earlier runs stay in the table for feedback to be joined to. An item that a user
    dislikes, or is not interested in, is not shown to that user again.
    """
    from llmrec_assets.assets import list_steps, package_steps

    champion = registry.alias(CHAMPION)
    with warehouse.connect() as connection:
        decision = model_sql.newest_decision(connection)
        users = lists_sql.every_user(connection)
        dictionary = behavior_dictionary.load()
        hidden = lists_sql.hidden_items(connection, hiding(dictionary))
    if champion is not None:
        decision |= {"kind": "model", "served": champion}
    published = list_steps.make(
        decision, users, hidden, config, warehouse, arrays, registry, publisher, engine.map_made
    )
    with warehouse.connect() as connection:
        faults = lists_sql.list_faults(connection, published.partial)
        if any(faults):
            raise dg.Failure(f"not published: {faults[0]} users without a list, {faults[1]} broken")
        lists_sql.keep_lists(connection, published.partial, config.keep_days)
        lists_sql.publish_items(connection, publisher.items)
        metadata = run_metadata(connection, RECOMMENDATIONS)
    lists = publisher.publish(published.partial)
    package = package_steps.publish_package(
        published.made_of, decision, warehouse, registry, publisher, dictionary, lists
    )
    publisher.keep(lists)
    return dg.MaterializeResult(metadata={**metadata, **published.metadata(), **package})


@dg.asset_check(asset=recommendations, blocking=True)
def every_user_has_a_list(warehouse: Warehouse, publisher: Publisher) -> dg.AssetCheckResult:
    """The published file has a list, ranked from 1 without gaps, for every user of the events."""
    with warehouse.connect() as connection:
        missing, broken = lists_sql.list_faults(connection, publisher.recommendations)
    return dg.AssetCheckResult(
        passed=missing == 0 and broken == 0,
        metadata={"users_without_list": missing, "broken_lists": broken},
    )
