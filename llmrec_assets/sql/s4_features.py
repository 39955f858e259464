"""Stage 4 in SQL: what was known at each step, in numbers and ids, and the codes of the ids.

An event changes the features of its user, and of everybody's later events of its item: there the
item has been around for longer, or is more popular. Both tables are brought up to date by that: the
touched users' temporal features are made anew, the others' keep all but the age and popularity of
the item; fused are those of events whose clean or temporal row has changed.
"""

from dataclasses import replace

import duckdb

from llmrec_assets.sql import builds, increments, replacing
from llmrec_assets.sql.fingerprints import Followed, row_hash
from llmrec_assets.sql.s2_tables import CHANGED_EVENTS
from llmrec_assets.sql.s4_tables import (
    BEHAVIORS,
    CHANGED_FEATURES,
    CLEAN,
    FUSED_FEATURES,
    HISTORY_ROWS,
    ITEMS,
    STEP_ROWS,
    TEMPORAL,
    TEMPORAL_FEATURES,
    TEXTS,
    USERS,
)

# Windows carry numbers in place of ids, and what else a row has joins them in the end: a window
# copies all that passes by it. Which number an id has is of no account.
NUMBERED = f"""
select seq, users.number as of_user, items.number as of_item, time, timestamp is null as relative,
    session_id
from {CLEAN}
join (select user_id, row_number() over () as number
    from (select distinct user_id from {CLEAN})) as users using (user_id)
join (select item_id, row_number() over () as number
    from (select distinct item_id from {CLEAN})) as items using (item_id)
"""

# Every window looks backwards only. Popularity counts strictly earlier times: among events of
# one time none is known before the others. Relative times of two users cannot be compared, so
# what others did before is unknown there.
ITEMS_OF_ALL = f"""
select * exclude (item_since), case when not relative then (time - item_since) / 1e6 end as item_age
from (
    select *, first_value(time) over of_time as item_since,
        case when not relative then rank() over of_time - 1 end as item_popularity
    from ({NUMBERED}) window of_time as (partition by of_item order by time)
)
"""

STEPS = f"""
with known as ({ITEMS_OF_ALL}), steps as (
    select *,
        case when relative then 1 else 1e6 end as unit,
        case when relative then 1 else 1800 end as session_end,
        row_number() over history - 1 as position,
        lag(time) over history as previous_time,
        lag(time) over (partition by of_user, of_item order by time, seq) as same_item_time,
        lag(session_id) over history as previous_session
    from known window history as (partition by of_user order by time, seq)
), sessions as (
    select *, (time - previous_time) / unit as gap, sum(
        (position = 0 or session_id is distinct from previous_session
            or (session_id is null and (time - previous_time) / unit > session_end))::int
    ) over (partition by of_user order by time, seq rows unbounded preceding) as session_number
    from steps
), found as (
    select seq, position, gap, (time - same_item_time) / unit as recency,
        row_number() over (
            partition by of_user, session_number order by time, seq
        ) - 1 as session_position,
        item_age, item_popularity
    from sessions
)
select seq, user_id, position, behavior, gap,
    hour(timestamp) as hour, isodow(timestamp) - 1 as weekday, recency, session_position,
    case when not is_outlier then rating end as rating,
    case when not is_outlier then value end as value,
    item_age, item_popularity
from found join {CLEAN} using (seq)
"""

# An item that an event came to or went from, and since when it matters.
CHANGED_ITEMS = "select item_id, min(time) as since from moved group by item_id"

# Every event of such items since then: its item has another age or popularity.
LATER = f"""
select seq, time, timestamp, item_id from {CLEAN} join changed_items using (item_id)
where time >= since and time >= $earliest
"""

# Of these, what is known of the item now. What was before is counted.
REVISED = f"""
with before as (
    select item_id, since, min(time) as item_since, count(*) filter (time < since) as earlier
    from {CLEAN} join changed_items using (item_id) group by all
), known as (
    select *, earlier + rank() over (partition by item_id order by time) - 1 as item_popularity
    from ({LATER}) join before using (item_id)
)
select seq, case when timestamp is not null then (time - item_since) / 1e6 end as item_age,
    case when timestamp is not null then item_popularity end as item_popularity
from known
"""

# The touched users' events, and what is known of their items: revised, or as it was.
TOUCHED_EVENTS = f"""
select seq, user_id, item_id, time, timestamp, behavior, rating, value, session_id, is_outlier
from {CLEAN} where {increments.IS_TOUCHED}
"""
ITEMS_OF_TOUCHED = f"""
select events.*,
    case when revised.seq is null then known.item_age else revised.item_age end as item_age,
    case when revised.seq is null then known.item_popularity else revised.item_popularity
        end as item_popularity
from ({NUMBERED.replace(CLEAN, "touched_events")}) as events
left join revised using (seq) left join outdated as known using (seq)
"""
STEPS_OF_TOUCHED = STEPS.replace(ITEMS_OF_ALL, ITEMS_OF_TOUCHED).replace(
    f"join {CLEAN}", "join touched_events"
)

# The rows that were there of some events, and of those that went.
OUTDATED = "seq in (select seq from {0} union all select seq from moved where gone)"

# Of others than the touched users.
OTHERS = f"""
select revised.seq, revised.item_age, revised.item_popularity
from revised join {TEMPORAL} as known using (seq)
where seq not in (select seq from made) and (known.item_age is distinct from revised.item_age
    or known.item_popularity is distinct from revised.item_popularity)
"""
REVISE = f"""
update {TEMPORAL} as features
set item_age = others.item_age, item_popularity = others.item_popularity
from others where others.seq = features.seq
"""

# Codes follow the order of the ids, so they never depend on the order of rows.
EVERY_USER = f"select distinct user_id from {CLEAN}"
USERS_LEFT = f"""
select user_id from {USERS.full_name} where user_id not in (select user_id from touched_users)
union select user_id from {FUSED_FEATURES.full_name} where {increments.IS_TOUCHED}
"""
USER_CODES = f"""
select row_number() over (order by user_id) - 1 as user_code, user_id from ({EVERY_USER})
"""

ITEM_CODES = f"""
select row_number() over (order by item_id) as item_code, item_id, item_seq,
    coalesce(embedding_row, -1) as embedding_row
from s2_sequences.item_texts
left join (select item_id, embedding_row from {TEXTS} where kind = 'item') using (item_id)
"""

BEHAVIOR_CODES = f"""
select row_number() over (order by behavior) as behavior_code, behavior
from (select distinct behavior from {CLEAN})
"""

STEP_CODES = f"""
select behavior_code, item_code, details, texts.embedding_row from {TEXTS} as texts
join {ITEMS.full_name} using (item_id) join {BEHAVIORS.full_name} using (behavior)
where kind = 'step'
"""

HISTORY_CODES = f"""
select user_code, n_events - 1 as position, embedding_row from {TEXTS}
join {USERS.full_name} using (user_id) where kind = 'history'
"""

FUSED = f"""
select events.user_id, position, events.seq, time, item_id, events.behavior, positive, weight,
    split,
    ln(1 + gap) / 10 as gap,
    sin(2 * pi() * hour / 24) as hour_sin, cos(2 * pi() * hour / 24) as hour_cos,
    sin(2 * pi() * weekday / 7) as weekday_sin, cos(2 * pi() * weekday / 7) as weekday_cos,
    ln(1 + recency) / 10 as recency, ln(1 + session_position) / 10 as session_position,
    features.rating, features.value, ln(1 + item_age) / 10 as item_age,
    ln(1 + item_popularity) / 10 as item_popularity,
    (caused_by is not null)::int as recommended
from {CLEAN} as events join {TEMPORAL} as features using (seq)
"""
FUSED_OF_CHANGED = f"{FUSED} where seq in (select seq from changed)"
CHANGED = f"""
select seq from {CHANGED_EVENTS.full_name} where build > $after
union select seq from {CHANGED_FEATURES.full_name} where build > $after
"""


def build_temporal(connection: duckdb.DuckDBPyConnection, rebuild: bool = False) -> None:
    """Bring temporal_features up to date with the clean events."""
    text = row_hash(TEMPORAL_FEATURES)
    settings = builds.settings_hash(
        connection, STEPS, REVISED, TEMPORAL_FEATURES.ddl, text, CHANGED_FEATURES.ddl
    )
    due = increments.due(connection, TEMPORAL_FEATURES, settings, rebuild)
    content = due.follow(connection, TEMPORAL_FEATURES)
    if due.reason:
        changed = TEMPORAL_FEATURES.replace(connection, f"{STEPS} order by seq")
        users = count_users(connection)
        CHANGED_FEATURES.clear(connection)
    else:
        find_revised(connection)
        connection.execute(f"create or replace temp table touched_events as {TOUCHED_EVENTS}")
        outdated = OUTDATED.format("touched_events")
        known = "seq, item_age, item_popularity"
        replacing.find_outdated(connection, TEMPORAL_FEATURES, outdated, known)
        replacing.make(connection, TEMPORAL_FEATURES, STEPS_OF_TOUCHED)
        connection.execute("drop table touched_events")
        replacing.put(content, "seq")
        changed = increments.count_of(connection, replacing.MADE) + revise_others(content)
        increments.leave_changed(connection, CHANGED_FEATURES, due.number, ("fresh", "others"))
        connection.execute("drop table revised; drop table others")
        users = increments.count_of(connection, "touched_users")
    builds.record(connection, TEMPORAL_FEATURES, due.done(content.of_all(), changed, users))


def build_fused(connection: duckdb.DuckDBPyConnection, rebuild: bool = False) -> None:
    """Bring fused_features up to date with clean events and temporal features; make the codes.

    The codes are made anew each time: what they are depends on all ids and texts.
    """
    temporal = builds.last_build(connection, TEMPORAL_FEATURES)
    known = (temporal.settings, temporal.number) if temporal else ("", 0)
    text = row_hash(FUSED_FEATURES)
    settings = builds.settings_hash(
        connection, FUSED, FUSED_FEATURES.ddl, text, known[0], CHANGED_EVENTS.ddl
    )
    due = increments.due(connection, FUSED_FEATURES, settings, rebuild, through=known[1])
    due = increments.unless_changed(connection, due, (USERS,))
    if not due.reason and temporal and temporal.whole_since > due.after:
        due = replace(due, reason=builds.BEHIND)
    content = due.follow(connection, FUSED_FEATURES)
    if due.reason:
        changed = FUSED_FEATURES.replace(connection, f"{FUSED} order by user_id, position")
        users = count_users(connection)
    else:
        CHANGED_FEATURES.create(connection)
        after = {"after": due.after}
        connection.execute(f"create or replace temp table changed as {CHANGED}", after)
        replacing.make(connection, FUSED_FEATURES, FUSED_OF_CHANGED)
        replacing.find_outdated(connection, FUSED_FEATURES, OUTDATED.format("changed"), "seq")
        replacing.put(content, "seq")
        changed = increments.count_of(connection, replacing.MADE)
        users = increments.count_of(connection, "touched_users")
    make_codes(connection, USER_CODES if due.reason else USER_CODES.replace(EVERY_USER, USERS_LEFT))
    codes = increments.rows_of(connection, (USERS,))
    builds.record(connection, FUSED_FEATURES, due.done(content.of_all(), changed, users, codes))


def find_revised(connection: duckdb.DuckDBPyConnection) -> None:
    """`revised`: events with what is known of their items now, after what `moved` tells."""
    connection.execute(f"create or replace temp table changed_items as {CHANGED_ITEMS}")
    (earliest,), *_ = connection.execute("select min(since) from changed_items").fetchall()
    connection.execute(f"create or replace temp table revised as {REVISED}", {"earliest": earliest})


def revise_others(content: Followed) -> int:
    """Let the other users' rows know their items as `revised` does; `others` are those, how many.

    `made` has the touched users' rows.
    """
    connection = content.connection
    connection.execute(f"create or replace temp table others as {OTHERS}")
    if changed := increments.count_of(connection, "others"):
        with content.changing("seq in (select seq from others)"):
            connection.execute(REVISE)
    return changed


def make_codes(connection: duckdb.DuckDBPyConnection, users: str) -> None:
    """Make the code tables anew, that of the users by the query `users`."""
    connection.execute(f"create or replace temp table coded as {users}")
    USERS.replace(connection, "from coded order by user_code")
    ITEMS.replace(connection, f"{ITEM_CODES} order by item_code")
    BEHAVIORS.replace(connection, f"{BEHAVIOR_CODES} order by behavior_code")
    STEP_ROWS.replace(connection, f"{STEP_CODES} order by all")
    HISTORY_ROWS.replace(connection, f"{HISTORY_CODES} order by all")


def count_users(connection: duckdb.DuckDBPyConnection) -> int:
    """Users of the clean events."""
    return connection.execute(f"select count(distinct user_id) from {CLEAN}").fetchall()[0][0]
