"""Stage 7 in SQL: which list caused a response, and which responses go back as events."""

import hashlib
import os
from pathlib import Path

import duckdb
import pandas as pd

from llmrec_assets.sql.s1_tables import RETURNED_FILE
from llmrec_assets.sql.tables import Column, Table

SCHEMA = "s7_feedback"
LISTS = "s6_recommendations.recommendations"
RAW = "s1_raw_events.raw_events"

FEEDBACK = Table(
    SCHEMA,
    "feedback",
    (
        Column("seq", "bigint", "Ingestion sequence number of the feedback."),
        Column("feedback_id", "varchar", "The response, once."),
        Column("list_id", "varchar", "The list it names, if any."),
        Column("user_id", "varchar", "Who responded.", private=True),
        Column("item_id", "varchar", "To what."),
        Column("rank", "integer", "Place in the list, as given."),
        Column("timestamp", "timestamp", "UTC; null where time is relative."),
        Column("step", "bigint", "Relative time; null where time is absolute."),
        Column("response", "varchar", "impression, click, buy, like, not_interested, …"),
        Column("event_id", "varchar", "Its event: the one given, the same event in raw_events, or"
               " the one that is returned; null for what never becomes an event.",
               (f"{RAW}.event_id",)),
        Column("caused_by", "varchar", "The list that caused it; null for an organic response.",
               (f"{LISTS}.list_id",)),
        Column("attribution", "varchar", "list_id: the list it names shows the user this item;"
               " last_touch: the newest list that did within the window; none.",
               (f"{LISTS}.generated_at",)),
        Column("model_version", "varchar", "Who made that list.", (f"{LISTS}.model_version",)),
        Column("propensity", "double", "Of the slot in that list.", (f"{LISTS}.propensity",)),
        Column("returned_in", "varchar", "File in the landing zone that brings it back as an event;"
               " null where raw_events had it already, or it is no positive response."),
        Column("file_hash", "varchar", "The file that brought it."),
    ),
    primary_key=("feedback_id",),
)  # fmt: skip

RESPONSE_RATES = Table(
    SCHEMA,
    "response_rates",
    (
        Column("model_version", "varchar", "Who made the lists.",
               (f"{SCHEMA}.feedback.model_version",)),
        Column("impressions", "bigint", "Slots shown."),
        Column("clicks", "bigint", "Slots clicked."),
        Column("conversions", "bigint", "Slots bought."),
        Column("click_through", "double", "clicks / impressions."),
        Column("conversion", "double", "conversions / clicks."),
    ),
    primary_key=("model_version",),
)  # fmt: skip

# A named list counts if it showed this user this item. A response that names none belongs to the
# newest list that did.
ATTRIBUTE = f"""
with touched as (
    select f.feedback_id, l.list_id, l.model_version, l.propensity, l.generated_at,
        f.list_id is not null and l.list_id = f.list_id as named
    from {FEEDBACK.full_name} as f
    join {LISTS} as l on l.user_id = f.user_id and l.item_id = f.item_id
    where f.attribution is null and (l.list_id = f.list_id or (
        f.list_id is null and l.generated_at <= f.timestamp
        and l.generated_at > f.timestamp - to_days($window_days::integer)))
), best as (
    select feedback_id, unnest(max_by(touched, (named, generated_at)))
    from touched group by feedback_id
)
update {FEEDBACK.full_name} as f
set caused_by = best.list_id, model_version = best.model_version, propensity = best.propensity,
    attribution = case when best.named then 'list_id' else 'last_touch' end
from best where best.feedback_id = f.feedback_id
"""

ORGANIC = f"update {FEEDBACK.full_name} set attribution = 'none' where attribution is null"

# A response without an event of its own is the raw event of the same user, item, time and
# behaviour where there is one, and becomes a new event where there is none.
NAME_EVENTS = f"""
update {FEEDBACK.full_name} as f set event_id = coalesce(
    (select min(event_id) from {RAW} as e
     where e.user_id = f.user_id and e.item_id = f.item_id and e.behavior = f.response
        and e.timestamp is not distinct from f.timestamp and e.step is not distinct from f.step),
    'feedback:' || f.feedback_id)
where f.event_id is null and f.response in (select behavior from words where positive)
"""

TO_RETURN = f"""
select f.event_id, f.user_id, f.item_id,
    coalesce(strftime(f.timestamp, '%Y-%m-%dT%H:%M:%S.%fZ'), f.step::varchar) as timestamp,
    f.response as behavior
from {FEEDBACK.full_name} as f
where f.returned_in is null and f.response in (select behavior from words where positive)
    and not exists (select 1 from {RAW} as e where e.event_id = f.event_id)
order by f.seq
"""

RATES = f"""
with slots as (
    select model_version, caused_by, item_id, bool_or(response = 'impression') as shown,
        bool_or(response in (select unnest($click_responses))) as clicked,
        bool_or(response in (select unnest($conversion_responses))) as converted
    from {FEEDBACK.full_name} where caused_by is not null group by all
)
select model_version, count(*) filter (shown) as impressions,
    count(*) filter (clicked) as clicks, count(*) filter (converted) as conversions,
    clicks / nullif(impressions, 0) as click_through, conversions / nullif(clicks, 0) as conversion
from slots group by model_version
"""


def attribute(connection: duckdb.DuckDBPyConnection, window_days: int) -> None:
    """Join feedback that is not yet attributed to the list that caused it."""
    connection.execute(ATTRIBUTE, {"window_days": window_days})
    connection.execute(ORGANIC)


def pending_events(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """Positive responses whose event raw_events lacks, as events. Needs the table `words`."""
    connection.execute(NAME_EVENTS)
    return connection.execute(TO_RETURN).df()


def return_events(events: pd.DataFrame, landing_events: Path) -> str:
    """Write the events as one file of the landing zone; its name, which holds its hash.

    By that name stage 1 knows that a row of any other file tells more of its event.

    Writing the same events again replaces the file by itself, and a second delivery of an event
    is known by its event_id, so a run killed in between returns nothing twice.
    """
    text = events.to_json(orient="records", lines=True, force_ascii=False) or ""
    name = RETURNED_FILE.format(hashlib.sha256(text.encode()).hexdigest())
    landing_events.mkdir(parents=True, exist_ok=True)
    partial = landing_events / f".{name}"
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(landing_events / name)
    return name


def mark_returned(connection: duckdb.DuckDBPyConnection, events: pd.DataFrame, name: str) -> None:
    """Remember which file returned the events."""
    connection.register("returned", events[["event_id"]])
    connection.execute(
        f"update {FEEDBACK.full_name} set returned_in = ?"
        " where returned_in is null and event_id in (select event_id from returned)",
        [name],
    )
    connection.unregister("returned")


def measure(
    connection: duckdb.DuckDBPyConnection, clicks: list[str], conversions: list[str]
) -> pd.DataFrame:
    """Rebuild response_rates; its rows."""
    RESPONSE_RATES.replace(
        connection, RATES, {"click_responses": clicks, "conversion_responses": conversions}
    )
    return connection.execute(
        f"from {RESPONSE_RATES.full_name} order by impressions desc, model_version"
    ).df()
