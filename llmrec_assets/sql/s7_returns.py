"""What of the feedback goes back to the start of the loop, as a file of the landing zone.

Events that raw_events lacks: positive responses, and those that hide an item, which become history
and never targets. And events that raw_events has without knowing the list that caused them. The
flow so stays free of a cycle: earlier stages read a file of events, never a table of this stage.
"""

import hashlib
import os
from pathlib import Path

import duckdb
import pandas as pd

from llmrec_assets.sql.s1_tables import RETURNED_FILE
from llmrec_assets.sql.s7_tables import FEEDBACK, RAW

RETURNS = "(f.positive or words.hides)"

# A response without an event of its own is the raw event of the same user, item, time and
# behaviour where there is one (of several the one that cleaning keeps), and becomes a new event
# where there is none.
NAME_EVENTS = f"""
with found as (
    select f.feedback_id, first(e.event_id order by e.own_event_id desc, e.seq) as event_id
    from {FEEDBACK.full_name} as f join {RAW} as e
        on e.user_id = f.user_id and e.item_id = f.item_id and e.behavior = f.response
        and e.timestamp is not distinct from f.timestamp and e.step is not distinct from f.step
    where f.event_id is null group by f.feedback_id
), named as (
    select f.feedback_id, coalesce(found.event_id,
        case when {RETURNS} then 'feedback:' || f.feedback_id end) as event_id
    from {FEEDBACK.full_name} as f join words on words.behavior = f.response
    left join found using (feedback_id) where f.event_id is null
)
update {FEEDBACK.full_name} as f set event_id = named.event_id
from named where named.feedback_id = f.feedback_id and named.event_id is not null
"""

TIME = "coalesce(strftime(timestamp, '%Y-%m-%dT%H:%M:%S.%fZ'), step::varchar)"
BY_TIME = "order by coalesce(epoch_us(f.timestamp), f.step), f.feedback_id"

# In order of arrival: what returned once is never displaced by what comes later.
NUMBERED = f"""
select f.feedback_id, row_number() over (
        partition by f.user_id, f.timestamp::date, case when f.timestamp is null then f.step end
        order by f.seq) as nth
from {FEEDBACK.full_name} as f join words on words.behavior = f.response
where {RETURNS} and not words.hides
"""

PENDING = f"""
with numbered as ({NUMBERED}), missing as (
    select f.*, case when words.value = 'rating' then f.value end as rating,
        case when words.value <> 'rating' then f.value end as other_value
    from {FEEDBACK.full_name} as f join words on words.behavior = f.response
    where f.returned_in is null and {RETURNS}
        and f.feedback_id not in (select feedback_id from numbered where nth > $most_a_day)
        and not exists (select 1 from {RAW} as e where e.event_id = f.event_id)
    qualify row_number() over (partition by f.event_id {BY_TIME}) = 1
), causes as (
    select f.event_id, f.user_id, f.item_id, first(f.caused_by {BY_TIME}) as caused_by,
        min(f.seq) as seq
    from {FEEDBACK.full_name} as f join words on words.behavior = f.response
    where f.caused_by is not null and f.event_id is not null group by all
)
select * exclude (seq) from (
    select event_id, user_id, item_id, {TIME} as timestamp, response as behavior, rating,
        other_value as value, caused_by, true as is_new, seq
    from missing
    union all
    select event_id, user_id, item_id, {TIME}, behavior, rating, value, causes.caused_by, false,
        causes.seq
    from {RAW} as e join causes using (event_id, user_id, item_id) where e.caused_by is null
) order by seq, event_id
"""


def pending_events(connection: duckdb.DuckDBPyConnection, most_a_day: int) -> pd.DataFrame:
    """The events to return: `is_new`, or known without their cause. Needs the table `words`.

    A cause is sent until raw_events knows it; a file that says the same again has the same name.
    Of one user no more than `most_a_day` positive responses of a day (or step) return.
    """
    connection.execute(NAME_EVENTS)
    return connection.execute(PENDING, {"most_a_day": most_a_day}).df()


def over_the_limit(connection: duckdb.DuckDBPyConnection, most_a_day: int) -> int:
    """Positive responses that never return, because their user gave too many on one day."""
    query = f"select count(*) from ({NUMBERED}) where nth > ?"
    return connection.execute(query, [most_a_day]).fetchall()[0][0]


def return_events(events: pd.DataFrame, landing_events: Path) -> str:
    """Write the events as one file of the landing zone; its name, which holds its hash.

    By that name stage 1 knows that a row of any other file tells more of its event.

    Writing the same events again replaces the file by itself, and a second delivery of an event
    is known by its event_id, so a run killed in between returns nothing twice.
    """
    told = events.drop(columns="is_new", errors="ignore")
    text = told.to_json(orient="records", lines=True, force_ascii=False) or ""
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
    """Remember which file returned the new events."""
    connection.register("returned", events.loc[events["is_new"], ["event_id"]])
    connection.execute(
        f"update {FEEDBACK.full_name} set returned_in = ?"
        " where returned_in is null and event_id in (select event_id from returned)",
        [name],
    )
    connection.unregister("returned")
