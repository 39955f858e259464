"""Stage 7 in SQL: which list caused a response, and what the response says of the item.

Causes are found by the time of the response, not of its arrival, and looked for again as long as
none is known: a response may come before the list that it belongs to. Lists are those that were
published, and those that an online service made.
"""

import duckdb
import pandas as pd

from llmrec_assets.sql.s6_recommendations import RECOMMENDATIONS
from llmrec_assets.sql.s7_tables import FEEDBACK, RESPONSE_RATES, SERVED_LISTS

# All that can have caused a response, in the view shown_lists of a connection.
_SHOWN = "list_id, user_id, item_id, rank, propensity, model_version, generated_at"

# A named list counts if it showed this user this item. A response that names none belongs to the
# newest list that did.
ATTRIBUTE = f"""
with touched as (
    select f.feedback_id, l.list_id, l.model_version, l.propensity, l.rank, l.generated_at,
        f.list_id is not null and l.list_id = f.list_id as named
    from {FEEDBACK.full_name} as f
    join shown_lists as l on l.user_id = f.user_id and l.item_id = f.item_id
    where f.caused_by is null and (l.list_id = f.list_id or (
        f.list_id is null and l.generated_at <= f.timestamp
        and l.generated_at > f.timestamp - to_days($window_days::integer)))
), best as (
    select feedback_id, unnest(max_by(touched, (named, generated_at, list_id)))
    from touched group by feedback_id
)
update {FEEDBACK.full_name} as f
set caused_by = best.list_id, model_version = best.model_version, propensity = best.propensity,
    rank = coalesce(f.rank, best.rank),
    attribution = case when best.named then 'list_id' else 'last_touch' end
from best where best.feedback_id = f.feedback_id
"""

ORGANIC = f"update {FEEDBACK.full_name} set attribution = 'none' where attribution is null"
UNCAUSED = f"select count(*) from {FEEDBACK.full_name} where attribution = 'none'"

SIGN = f"""
with signs as (
    select feedback_id, case
            when not words.positive then false
            when words.value = 'rating' then coalesce(f.value >= $middle_rating, true)
            when words.value = 'seconds' then coalesce(f.value >= $dwell_seconds, true)
            else true end as positive
    from {FEEDBACK.full_name} as f join words on words.behavior = f.response
)
update {FEEDBACK.full_name} as f set positive = signs.positive
from signs where signs.feedback_id = f.feedback_id
    and f.positive is distinct from signs.positive
"""

# Late: when it came in, the user had a newer list than the one that caused it. Out of order: of
# this user something that happened later was known already.
ARRIVALS = f"""
with newest as (
    select user_id, max(generated_at) as generated_at from shown_lists group by user_id
), placed as (
    select *, coalesce(epoch_us(timestamp), step) as time, max(time) over (
        partition by user_id, timestamp is null order by seq
        rows between unbounded preceding and 1 preceding) as known_time
    from {FEEDBACK.full_name} where user_id in (
        select user_id from {FEEDBACK.full_name} where seq > $since)
), causes as (
    select list_id, min(generated_at) as made_at from shown_lists group by list_id
)
select count(*) filter (made_at < newest.generated_at) as late_responses,
    count(*) filter (time < known_time) as out_of_order_responses
from placed left join causes on causes.list_id = caused_by left join newest using (user_id)
where seq > $since
"""

RESPONSES = f"""
select response, coalesce(role, case when response = $exposure then 'exposure' else 'unknown' end)
        as role,
    count(*) as responses, count(*) filter (f.positive) as positive,
    count(*) filter (not f.positive) as not_positive,
    count(*) filter (attribution = 'list_id') as by_list_id,
    count(*) filter (attribution = 'last_touch') as by_last_touch,
    count(*) filter (attribution = 'none') as organic
from {FEEDBACK.full_name} as f left join words on words.behavior = f.response
group by all order by responses desc, response
"""

RATES = f"""
with slots as (
    select model_version, caused_by, user_id, item_id, bool_or(response = $exposure) as shown,
        coalesce(bool_or(role = 'click'), false) as clicked,
        coalesce(bool_or(role = 'conversion'), false) as converted
    from {FEEDBACK.full_name} left join words on words.behavior = response
    where caused_by is not null group by all
)
select model_version, count(*) filter (shown) as impressions,
    count(*) filter (clicked) as clicks, count(*) filter (converted) as conversions,
    count(*) filter (clicked and shown) / nullif(impressions, 0) as click_through,
    count(*) filter (converted and clicked) / nullif(clicks, 0) as conversion
from slots group by model_version
"""


def _show_lists(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the view shown_lists; responses may come before the first list was published."""
    tables = [SERVED_LISTS]
    if RECOMMENDATIONS.is_there(connection):
        tables.append(RECOMMENDATIONS)
    lists = " union all ".join(f"select {_SHOWN} from {table.full_name}" for table in tables)
    connection.execute(f"create or replace temp view shown_lists as {lists}")


def newest_seq(connection: duckdb.DuckDBPyConnection) -> int:
    """The newest ingestion sequence number of feedback; 0 before the first."""
    query = f"select coalesce(max(seq), 0) from {FEEDBACK.full_name}"
    return connection.execute(query).fetchall()[0][0]


def attribute(connection: duckdb.DuckDBPyConnection, window_days: int) -> int:
    """Join feedback whose cause is not known to the list that caused it.

    Returns:
        How many responses that were organic so far now have a list.
    """
    _show_lists(connection)
    before = connection.execute(UNCAUSED).fetchall()[0][0]
    connection.execute(ATTRIBUTE, {"window_days": window_days})
    found = before - connection.execute(UNCAUSED).fetchall()[0][0]
    connection.execute(ORGANIC)
    return found


def forget_lists(connection: duckdb.DuckDBPyConnection, keep_days: int) -> None:
    """Delete the lists of online services that are older than `keep_days`."""
    connection.execute(
        f"delete from {SERVED_LISTS.full_name}"
        " where generated_at < now()::timestamp - to_days(?::integer)",
        [keep_days],
    )


def judge(
    connection: duckdb.DuckDBPyConnection, *, middle_rating: float, dwell_seconds: float
) -> None:
    """Say of every response whether it is positive. Needs the table `words`."""
    values = {"middle_rating": middle_rating, "dwell_seconds": dwell_seconds}
    connection.execute(SIGN, values)


def arrivals(connection: duckdb.DuckDBPyConnection, since: int) -> dict[str, int]:
    """How many of the responses after sequence number `since` came late or out of order."""
    _show_lists(connection)
    late, out_of_order = connection.execute(ARRIVALS, {"since": since}).fetchall()[0]
    return {"late_responses": late, "out_of_order_responses": out_of_order}


def responses(connection: duckdb.DuckDBPyConnection, exposure: str) -> pd.DataFrame:
    """Every kind of response with its role, sign and attribution. Needs the table `words`."""
    return connection.execute(RESPONSES, {"exposure": exposure}).df()


def measure(connection: duckdb.DuckDBPyConnection, exposure: str) -> pd.DataFrame:
    """Rebuild response_rates; its rows. Needs the table `words`."""
    RESPONSE_RATES.replace(connection, RATES, {"exposure": exposure})
    return connection.execute(
        f"from {RESPONSE_RATES.full_name} order by impressions desc, model_version"
    ).df()


def off_scale(connection: duckdb.DuckDBPyConnection, lowest: float, highest: float) -> int:
    """Ratings outside their scale. Needs the table `words`."""
    return connection.execute(
        f"""select count(*) from {FEEDBACK.full_name} as f
        join words on words.behavior = f.response and words.value = 'rating'
        where f.value not between ? and ?""",
        [lowest, highest],
    ).fetchall()[0][0]
