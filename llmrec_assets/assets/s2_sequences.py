"""Stage 2: which events count, and what each user did in order."""

from typing import Literal

import dagster as dg
from pydantic import Field, field_validator

from llmrec_assets.assets import s1_raw_events
from llmrec_assets.assets.rebuilding import Rebuild
from llmrec_assets.assets.shard_steps import fill_by
from llmrec_assets.assets.table_metadata import build_metadata, markdown, static_metadata
from llmrec_assets.core import templates
from llmrec_assets.resources.behavior_dictionary import BehaviorDictionary
from llmrec_assets.resources.engine import Engine
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.settings import checked, choice, day, setting
from llmrec_assets.sql import s2_clean_events, s2_words
from llmrec_assets.sql import s2_sequences as sequences_sql
from llmrec_assets.sql.s1_tables import RAW_EVENTS
from llmrec_assets.sql.s2_clean_events import BOT_ONE_ITEM_EVENTS, BOT_ONE_ITEM_SHARE
from llmrec_assets.sql.s2_tables import CLEAN_EVENTS, HISTORY_TEXTS, USER_SEQUENCES


class CleaningConfig(Rebuild):
    """The rules of cleaning. The defaults lose no user. Rebuilt whole, all that follows is too."""

    earliest: str = Field(
        default=day("EARLIEST", "1990-01-01"),
        description="Absolute times before this day are impossible.",
    )
    bot_events_per_day: int = Field(
        default=setting("BOT_EVENTS_PER_DAY", 2000, minimum=1),
        description="A user with more events on one day is flagged as a bot and never a target.",
        ge=1,
    )
    bot_one_item_share: float = Field(
        default=setting("BOT_ONE_ITEM_SHARE", BOT_ONE_ITEM_SHARE, minimum=0, maximum=1),
        description="A user with more than this share of at least bot_one_item_events events on"
        " one item is flagged as a bot, such as one of a farm that pushes it; 1 is off.",
        ge=0,
        le=1,
    )
    bot_one_item_events: int = Field(
        default=BOT_ONE_ITEM_EVENTS, description="Events below which nobody is flagged so.", ge=2
    )
    drop_bots: bool = Field(
        default=setting("DROP_BOTS", False), description="Remove bots instead of flagging them."
    )
    k_core: int = Field(
        default=setting("K_CORE", 0, minimum=0),
        description="Keep only users with, and items of, this many events and users; 0 is off.",
        ge=0,
    )
    outlier_deviations: float = Field(
        default=6.0,
        description="Standard deviations from which rating and value count as outliers.",
        gt=0,
    )
    caused_weight: float = Field(
        default=setting("CAUSED_WEIGHT", 1.0, minimum=0.001),
        description="How much an event that a list caused counts as a training target, times the"
        " weight of its behaviour. Below 1 the loop learns less from its own suggestions.",
        gt=0,
    )


@dg.asset(
    deps=[s1_raw_events.raw_events, s1_raw_events.rejected_events, s1_raw_events.expiries],
    kinds={"duckdb"},
    owners=["team:data"],
    metadata=static_metadata(CLEAN_EVENTS),
)
def clean_events(
    context: dg.AssetExecutionContext,
    config: CleaningConfig,
    warehouse: Warehouse,
    behavior_dictionary: BehaviorDictionary,
    engine: Engine,
) -> dg.MaterializeResult:
    """One row per event that counts. What a rule removed is listed in removed_events."""
    with warehouse.connect() as connection:
        s2_words.register_words(connection, behavior_dictionary.load(), "en")
        version = s2_clean_events.clean(connection, **config.model_dump(), fill=fill_by(engine))
        removed = s2_clean_events.removal_counts(connection)
        unknown = s2_clean_events.unknown_behaviors(connection)
        metadata = build_metadata(connection, CLEAN_EVENTS)
    for row in unknown.itertuples():
        context.log.warning(
            f"behavior {row.behavior!r} ({row.events} events) is not in the behaviour dictionary:"
            f" kept with weight 1; add it to {behavior_dictionary.path}"
        )
    return dg.MaterializeResult(
        metadata={
            **metadata,
            "removed_events": int(removed["events"].sum()),
            "removed_by_rule": dg.MetadataValue.md(markdown(removed)),
            "unknown_behaviors": dg.MetadataValue.md(markdown(unknown)),
            "statistics_version": version,
        }
    )


@dg.asset_check(asset=clean_events, blocking=True)
def clean_events_exist(warehouse: Warehouse) -> dg.AssetCheckResult:
    """At least one event is left after cleaning."""
    rows = int(warehouse.read(f"select count(*) as n from {CLEAN_EVENTS.full_name}")["n"][0])
    return dg.AssetCheckResult(passed=rows > 0, metadata={"events": rows})


@dg.asset_check(asset=clean_events)
def every_user_was_kept(warehouse: Warehouse) -> dg.AssetCheckResult:
    """Cleaning left every user of the raw events at least one event."""
    lost = warehouse.read(
        f"select count(distinct user_id) as n from {RAW_EVENTS.full_name}"
        f" where user_id not in (select user_id from {CLEAN_EVENTS.full_name})"
    )
    return dg.AssetCheckResult(
        passed=int(lost["n"][0]) == 0,
        severity=dg.AssetCheckSeverity.WARN,
        description="Lost users get the popular items.",
        metadata={"lost_users": int(lost["n"][0])},
    )


class SequencesConfig(Rebuild):
    """How histories are put into words."""

    language: Literal["auto", "en", "zh"] = Field(
        default=choice("LANGUAGE", "auto", ("auto", "en", "zh")),
        description="Language of the behaviours; auto follows the titles.",
    )
    history_length: int = Field(
        default=50, description="Newest events of a user in item_ids and in texts.", ge=1
    )
    description_characters: int = Field(
        default=300, description="How much of a description is encoded.", ge=0
    )
    text_template: str = Field(
        default=checked("TEXT_TEMPLATE", "", templates.check),
        description="Jinja2 template of what is encoded of an item, over item_id, title, brand,"
        " category, description, price, attributes and language; empty: title, brand, category"
        " and description.",
    )

    step_details: bool = Field(
        default=setting("STEP_DETAILS", False),
        description="Encode of a step its rating and review too: about one text an event, instead"
        " of one for each behaviour with an item.",
    )
    review_characters: int = Field(
        default=300, description="How much of a review is encoded under step_details.", ge=0
    )
    history_texts: bool = Field(
        default=setting("HISTORY_TEXTS", False),
        description="Encode every user's history as one text too, up to each target and in whole,"
        " and rank by its likeness to the items' texts: about three texts a user.",
    )
    history_characters: int = Field(
        default=300,
        description="Most of such a text, newest steps first, about ten titles. An encoder may"
        " read less.",
        ge=1,
    )

    @field_validator("text_template")
    @classmethod
    def _is_a_template(cls, source: str) -> str:
        return templates.check(source)


@dg.asset(
    deps=[clean_events, s1_raw_events.raw_events, s1_raw_events.raw_items],
    kinds={"duckdb"},
    owners=["team:data"],
    metadata=static_metadata(USER_SEQUENCES),
)
def user_sequences(
    config: SequencesConfig,
    warehouse: Warehouse,
    behavior_dictionary: BehaviorDictionary,
    engine: Engine,
) -> dg.MaterializeResult:
    """One row per user: the newest events, oldest first, as lists and as text."""
    with warehouse.connect() as connection:
        language = config.language
        if language == "auto":
            language = s2_words.detect_language(connection)
        s2_words.register_words(connection, behavior_dictionary.load(), language)
        fell_back = sequences_sql.build_sequences(
            connection,
            language,
            **config.model_dump(exclude={"language"}),
            fill=fill_by(engine),
        )
        metadata = build_metadata(connection, USER_SEQUENCES)
        told = HISTORY_TEXTS.count(connection)
    return dg.MaterializeResult(
        metadata={
            **metadata,
            "language": language,
            "text_template": templates.label(config.text_template),
            "items_with_fallback_text": fell_back,
            "history_texts": told,
        }
    )


@dg.asset_check(asset=user_sequences, blocking=True)
def histories_hold_every_clean_event(warehouse: Warehouse) -> dg.AssetCheckResult:
    """The lengths of the histories add up to the clean events, and each is in time order."""
    counts = warehouse.read(
        f"""select (select count(*) from {CLEAN_EVENTS.full_name}) as events,
            coalesce(sum(n_events), 0) as in_histories,
            coalesce(bool_and(first_time <= last_time), true) as in_order
        from {USER_SEQUENCES.full_name}"""
    ).iloc[0]
    return dg.AssetCheckResult(
        passed=bool(counts["events"] == counts["in_histories"] and counts["in_order"]),
        metadata={"events": int(counts["events"]), "in_histories": int(counts["in_histories"])},
    )
