"""Stage 2 in SQL: which raw events count, and what becomes of those that do.

Nearly all events stay, and few can be repeats or are of bots. So the few are looked for, and the
rest passes by their lists without being sorted or copied on the way.
"""

from dataclasses import replace

import duckdb

from llmrec_assets.sql import increments, replacing
from llmrec_assets.sql.s2_tables import CLEAN_EVENTS, RAW, REMOVED_EVENTS
from llmrec_assets.sql.shards import BELONGS, FillByShards, ShardedQuery

# Only who has that many events in all can have them on a day or of an item.
BOTS = f"""
with known as (
    select user_id, count(*) as events from {RAW} where {BELONGS} group by user_id
), busy as (
    select user_id from {RAW} where {BELONGS} and timestamp is not null
        and user_id in (select user_id from known where events > $bot_events_per_day)
    group by user_id, timestamp::date having count(*) > $bot_events_per_day
), favourites as (
    select user_id, count(*) as most from {RAW} where {BELONGS}
        and user_id in (select user_id from known where events >= $bot_one_item_events)
    group by user_id, item_id
), fond as (
    select user_id from favourites join known using (user_id)
    where most > $bot_one_item_share * events
)
select user_id from busy union select user_id from fond
"""

# An event without an id of its own repeats one with an id, or an earlier one without. A rule is
# the first that applies; the order is that of the README.
REMOVED = f"""
with anonymous as (
    select seq, user_id, item_id, timestamp, step, behavior, own_event_id
    from {RAW} where {BELONGS} and not own_event_id
), named as (
    select seq, user_id, item_id, timestamp, step, behavior, own_event_id
    from {RAW} as events where {BELONGS} and own_event_id and exists (
        select 1 from anonymous where anonymous.user_id = events.user_id
            and anonymous.item_id = events.item_id and anonymous.behavior = events.behavior
            and anonymous.timestamp is not distinct from events.timestamp
            and anonymous.step is not distinct from events.step)
), numbered as (
    select seq, own_event_id, row_number() over (
        partition by user_id, item_id, timestamp, step, behavior
        order by own_event_id desc, seq
    ) as repeat_number
    from (from anonymous union all from named)
), repeats as (
    select seq from numbered where repeat_number > 1 and not own_event_id
)
select seq, user_id, case
    when timestamp < $earliest::timestamp then 'time before ' || $earliest
    when timestamp > ingested_at + to_days(1) then 'time in the future'
    when seq in (from repeats)
        then 'repeats another event of the same user, item, time and behaviour'
    when behavior = 'impression' then 'an impression is nothing that the user did'
    when $drop_bots and user_id in (select user_id from bots) then 'bot'
end as reason
from {RAW} where {BELONGS} and reason is not null
order by seq
"""

# Read once for all uses.
TOUCHED_RAW = f"""
select * exclude (text, context, file_hash, line) from {RAW} where {increments.IS_TOUCHED}
"""

# The last positive event is the test target, the one before it the validation target, and only
# what precedes that is training. Events after a target belong to it.
CLEANED = f"""
with known as not materialized (
    select seq, event_id, events.user_id, item_id, coalesce(epoch_us(timestamp), step) as time,
        timestamp, behavior, bots.user_id is not null as is_bot,
        coalesce(words.positive, true) and not is_bot as positive,
        coalesce(words.weight, 1)
            * case when caused_by is null then 1 else $caused_weight end as weight,
        caused_by, rating, events.value, session_id
    from (select * from {RAW} where {BELONGS}) as events
    anti join (select seq from {REMOVED_EVENTS.full_name} where {BELONGS}) as removed using (seq)
    left join words using (behavior) left join bots on bots.user_id = events.user_id
), targets as (
    select user_id, max({{'time': time, 'seq': seq}}, 2) as newest
    from known where positive group by user_id
), ends as (
    select user_id, newest[1] as test, newest[2] as validation from targets
)
select known.*, false as is_outlier,
    case
        when {{'time': time, 'seq': seq}} < validation then 'train'
        when {{'time': time, 'seq': seq}} < test then 'validation'
        else 'test'
    end as split
from known left join ends using (user_id)
"""

KEPT = f"""
select seq, user_id, item_id from {RAW}
where seq not in (select seq from {REMOVED_EVENTS.full_name})
"""

# One round of k-core; repeated by its caller until nothing changes.
BELOW_CORE = """
select seq, user_id, 'below the ' || $k || '-core' as reason from kept where
    user_id in (select user_id from kept group by user_id having count(*) < $k)
    or item_id in (select item_id from kept group by item_id having count(distinct user_id) < $k)
"""

# What an increment's users had before: their events have these numbers still, or had them.
OUTDATED = "seq in (select seq from touched_raw union all select seq from different)"

QUERIES = (BOTS, REMOVED, CLEANED, KEPT, BELOW_CORE)


def clean_users(
    connection: duckdb.DuckDBPyConnection,
    rules: dict[str, object],
    k_core: int,
    caused_weight: float,
    fill: FillByShards,
    touched: bool,
) -> int:
    """Add the rows of all users, of whom neither table has any yet; how many were looked at.

    `touched`: removed events only of those in `touched_users`, and their clean events to `made`
    alone; those that they had are in `outdated` then. Needs the table `words`.
    """
    source, target = RAW, CLEAN_EVENTS.full_name
    if touched:
        connection.execute(f"create or replace temp table touched_raw as {TOUCHED_RAW}")
        replacing.find_outdated(connection, CLEAN_EVENTS, OUTDATED, increments.MOVED)
        replacing.make(connection, CLEAN_EVENTS)
        source, target = "touched_raw", replacing.MADE
    connection.execute("create or replace temp table bots (user_id varchar)")
    fill(connection, bots(rules, source))
    fill(connection, removed_events(rules, source))
    if k_core > 1:
        _remove_below_core(connection, k_core)
    fill(connection, replace(cleaned_events(caused_weight, source), target=target))
    connection.execute("drop table bots")
    return increments.count_of(connection, source)


def bots(rules: dict[str, object], source: str = RAW) -> ShardedQuery:
    """Users who do more on a day than people do, or hardly anything but push one item."""
    used = {name: value for name, value in rules.items() if f"${name}" in BOTS}
    return ShardedQuery("bots", _of(source, BOTS), used, {source: "user_id, item_id, timestamp"})


def removed_events(rules: dict[str, object], source: str = RAW) -> ShardedQuery:
    """The events that a rule removes, each with the rule. Needs the table `bots`."""
    used = {name: value for name, value in rules.items() if f"${name}" in REMOVED}
    columns = "seq, user_id, item_id, timestamp, step, behavior, own_event_id, ingested_at"
    divided = {source: columns, "bots": "user_id"}
    return ShardedQuery(REMOVED_EVENTS.full_name, _of(source, REMOVED), used, divided)


def cleaned_events(caused_weight: float, source: str = RAW) -> ShardedQuery:
    """The other events, weighed and split, for clean_events. Needs the table `bots`."""
    divided = {
        source: "* exclude (text, context)" if source == RAW else "*",
        REMOVED_EVENTS.full_name: "seq, user_id",
        "bots": "user_id",
    }
    query = f"select {CLEAN_EVENTS.column_names} from ({_of(source, CLEANED)})"
    weighing = {"caused_weight": caused_weight}
    return ShardedQuery(CLEAN_EVENTS.full_name, query, weighing, divided, ("words",))


def _of(source: str, query: str) -> str:
    """The same query over raw events, or over those of the touched users."""
    if source == RAW:
        return query
    removed = f"from {REMOVED_EVENTS.full_name} where {BELONGS}"
    return query.replace(f"from {RAW}", f"from {source}").replace(
        removed, f"{removed} and {increments.IS_TOUCHED}"
    )


def _remove_below_core(connection: duckdb.DuckDBPyConnection, k: int) -> None:
    connection.execute(f"create or replace temp table kept as {KEPT}")
    while True:
        connection.execute(f"create or replace temp table below as {BELOW_CORE}", {"k": k})
        if not increments.count_of(connection, "below"):
            break
        REMOVED_EVENTS.insert(connection, "from below order by seq")
        connection.execute("delete from kept where seq in (select seq from below)")
    connection.execute("drop table kept; drop table below")
