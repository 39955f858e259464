"""Stage 2 in SQL: a user's whole history as one text, as it was at each moment that is asked for.

A text ends right before the event to be predicted, so nothing of that event or a later one is in
it. The newest step comes first: whatever cuts the text, the limit here or the encoder's own number
of tokens, cuts the oldest steps.
"""

import duckdb

from llmrec_assets.core.splits import GLOBAL_TEST_SHARE
from llmrec_assets.sql.increments import of_touched
from llmrec_assets.sql.s2_statistics import CUT
from llmrec_assets.sql.s2_tables import CLEAN, EVENT_DETAILS, HISTORY_TEXTS, ITEM_TEXTS
from llmrec_assets.sql.shards import BELONGS, ShardedQuery

# Times that are steps of each user's own have no moment in common, so no global split either.
GLOBAL_CUT = f"select case when bool_and(timestamp is not null) then ({CUT}) end from {CLEAN}"

# The moments: before the validation and the test target, after all events, and around the cut of
# the global time split, before the last target of the past and before the first one after it.
HISTORIES = f"""
with ordered as (
    select seq, user_id, item_id, behavior, time, positive, split,
        row_number() over (partition by user_id order by time, seq) as number
    from {CLEAN} where {BELONGS}
), moments as (
    select distinct user_id, unnest([
        count(*) filter (split = 'train'), count(*) filter (split <> 'test'), count(*),
        max(number) filter (positive and time < $cut) - 1,
        min(number) filter (positive and time >= $cut) - 1
    ]) as n_events
    from ordered group by user_id
), told as (
    select user_id, n_events, number, coalesce(word, behavior) || $joiner
        || concat_ws('. ', title, details) as step
    from moments join ordered using (user_id) join {ITEM_TEXTS.full_name} using (item_id)
    left join {EVENT_DETAILS.full_name} using (seq) left join words using (behavior)
    where number <= n_events and number > n_events - $history_length and text is not null
)
select user_id, n_events,
    string_agg(step, $separator order by number desc)[:$history_characters] as text
from told group by user_id, n_events
"""


def global_cut(connection: duckdb.DuckDBPyConnection) -> int | None:
    """The time at which the global time split cuts; none where times are relative."""
    share = {"train_share": 1 - GLOBAL_TEST_SHARE}
    return connection.execute(GLOBAL_CUT, share).fetchall()[0][0]


def told_histories(telling: dict[str, object], touched: bool = False) -> ShardedQuery:
    """The texts of users, for history_texts.

    Needs the tables `words`, item_texts and event_details. `telling` has cut, joiner, separator,
    history_length (newest steps that are told) and history_characters (most of a text).
    `touched`: only of users in the table `touched_users`.
    """
    query = of_touched(HISTORIES) if touched else HISTORIES
    return ShardedQuery(
        HISTORY_TEXTS.full_name,
        f"{query} order by user_id, n_events",
        telling,
        {CLEAN: "seq, user_id, item_id, behavior, time, positive, split"},
        (ITEM_TEXTS.full_name, EVENT_DETAILS.full_name, "words"),
    )
