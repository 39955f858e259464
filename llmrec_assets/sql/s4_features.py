"""Stage 4 in SQL: what was known at each step, in numbers and codes."""

import duckdb

from llmrec_assets.sql.s4_tables import (
    BEHAVIORS,
    CLEAN,
    DETAILS,
    FUSED_FEATURES,
    ITEMS,
    TEMPORAL,
    TEMPORAL_FEATURES,
    TEXTS,
    USERS,
)

# Every window looks backwards only. Popularity counts strictly earlier times: among events of
# one time none is known before the others. Relative times of two users cannot be compared, so
# what others did before is unknown there.
STEPS = f"""
with steps as (
    select *,
        case when timestamp is null then 1 else 1e6 end as unit,
        case when timestamp is null then 1 else 1800 end as session_end,
        row_number() over history - 1 as position,
        lag(time) over history as previous_time,
        lag(time) over (partition by user_id, item_id order by time, seq) as same_item_time,
        lag(session_id) over history as previous_session,
        min(time) over (
            partition by item_id order by time, seq rows unbounded preceding
        ) as item_since,
        count(*) over (
            partition by item_id order by time range between unbounded preceding and 1 preceding
        ) as item_popularity
    from {CLEAN} window history as (partition by user_id order by time, seq)
), sessions as (
    select *, (time - previous_time) / unit as gap, sum(
        (position = 0 or session_id is distinct from previous_session
            or (session_id is null and (time - previous_time) / unit > session_end))::int
    ) over (partition by user_id order by time, seq rows unbounded preceding) as session_number
    from steps
)
select seq, user_id, position, behavior, gap,
    hour(timestamp) as hour, isodow(timestamp) - 1 as weekday,
    (time - same_item_time) / unit as recency,
    row_number() over (
        partition by user_id, session_number order by time, seq
    ) - 1 as session_position,
    case when not is_outlier then rating end as rating,
    case when not is_outlier then value end as value,
    case when timestamp is not null then (time - item_since) / unit end as item_age,
    case when timestamp is not null then item_popularity end as item_popularity
from sessions
"""

# Codes follow the order of the ids, so they never depend on the order of rows.
USER_CODES = f"""
select row_number() over (order by user_id) - 1 as user_code, user_id
from (select distinct user_id from {CLEAN})
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

FUSED = f"""
select user_code, position, events.seq, time, item_code, behavior_code,
    coalesce(texts.embedding_row, -1) as embedding_row,
    coalesce(histories.embedding_row, -1) as history_row, positive, weight, split,
    ln(1 + gap) / 10 as gap,
    sin(2 * pi() * hour / 24) as hour_sin, cos(2 * pi() * hour / 24) as hour_cos,
    sin(2 * pi() * weekday / 7) as weekday_sin, cos(2 * pi() * weekday / 7) as weekday_cos,
    ln(1 + recency) / 10 as recency, ln(1 + session_position) / 10 as session_position,
    features.rating, features.value,
    ln(1 + item_age) / 10 as item_age, ln(1 + item_popularity) / 10 as item_popularity,
    (caused_by is not null)::int as recommended
from {CLEAN} as events
join {TEMPORAL} as features using (seq)
join {USERS.full_name} as users on users.user_id = events.user_id
join {ITEMS.full_name} as items on items.item_id = events.item_id
join {BEHAVIORS.full_name} as behaviors on behaviors.behavior = events.behavior
left join {DETAILS} as told on told.seq = events.seq
left join {TEXTS} as texts
    on texts.kind = 'step' and texts.behavior = events.behavior and texts.item_id = events.item_id
    and texts.details = coalesce(told.details, '')
left join {TEXTS} as histories
    on histories.kind = 'history' and histories.user_id = events.user_id
    and histories.n_events = position + 1
"""


def build_temporal(connection: duckdb.DuckDBPyConnection) -> None:
    """Build temporal_features from the clean events."""
    TEMPORAL_FEATURES.replace(connection, f"{STEPS} order by seq")


def build_fused(connection: duckdb.DuckDBPyConnection) -> None:
    """Build the code tables and fused_features from temporal and text features."""
    USERS.replace(connection, f"{USER_CODES} order by user_code")
    ITEMS.replace(connection, f"{ITEM_CODES} order by item_code")
    BEHAVIORS.replace(connection, f"{BEHAVIOR_CODES} order by behavior_code")
    FUSED_FEATURES.replace(connection, f"{FUSED} order by user_code, position")
