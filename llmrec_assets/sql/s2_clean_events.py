"""Bring clean_events and removed_events up to date: whole, or by the users whose events changed.

What concerns one user is done shard by shard. What needs every user (the k-core, the statistics)
is done once, over what the shards left.
"""

from dataclasses import replace
from functools import partial

import duckdb
import pandas as pd

from llmrec_assets.sql import builds, increments, replacing, s2_cleaning
from llmrec_assets.sql.fingerprints import Followed, row_hash
from llmrec_assets.sql.s2_statistics import QUERIES, judge_outliers, keep_statistics
from llmrec_assets.sql.s2_tables import CHANGED_EVENTS, CLEAN, CLEAN_EVENTS, RAW, REMOVED_EVENTS
from llmrec_assets.sql.shards import WHOLE, FillByShards

# A bot does more on a day than people do, or hardly anything but push one item.
BOT_ONE_ITEM_SHARE, BOT_ONE_ITEM_EVENTS = 0.8, 50

# All that makes clean events what they are; a change of it is a change of settings.
CLEANING = (
    CLEAN_EVENTS.ddl,
    row_hash(CLEAN_EVENTS),
    REMOVED_EVENTS.ddl,
    *s2_cleaning.QUERIES,
    increments.BLOCKS,
    CHANGED_EVENTS.ddl,
    *QUERIES,
)


def clean(
    connection: duckdb.DuckDBPyConnection,
    *,
    earliest: str,
    bot_events_per_day: int,
    drop_bots: bool,
    k_core: int,
    outlier_deviations: float,
    caused_weight: float = 1.0,
    bot_one_item_share: float = BOT_ONE_ITEM_SHARE,
    bot_one_item_events: int = BOT_ONE_ITEM_EVENTS,
    fill: FillByShards = WHOLE,
    rebuild: bool = False,
) -> str:
    """Bring clean_events and removed_events up to date; the version of the statistics.

    Needs the table `words`. Users are cleaned anew whose raw events changed, all of them where the
    rules did, on request, or under a k-core, which depends on everybody; with `k_core` of 0 or 1
    nobody is removed for having few events. The tables hold the same rows either way and for every
    `fill`: users are judged and ordered in shards, the k-core and the statistics see the events of
    all of them. An increment is small, and made in place.
    """
    rules = {
        "earliest": earliest,
        "bot_events_per_day": bot_events_per_day,
        "bot_one_item_share": bot_one_item_share,
        "bot_one_item_events": bot_one_item_events,
        "drop_bots": drop_bots,
    }
    weighing = {"k_core": k_core, "deviations": outlier_deviations, "caused_weight": caused_weight}
    settings = builds.settings_hash(
        connection, rules, weighing, builds.words_of(connection), CLEANING
    )
    due = increments.cleaning_due(connection, settings, rebuild, k_core)
    content = due.follow(connection, CLEAN_EVENTS)
    if not due.reason and not increments.count_of(connection, "touched_users"):
        return _note_cleaning(due, content, str(due.state["statistics"]), 0)
    clean_users = partial(_clean_users, connection, rules, k_core, caused_weight, fill)
    recomputed = 0
    if not due.reason:
        increments.forget_touched(connection, REMOVED_EVENTS)
        recomputed = clean_users(due)
        replacing.put(content, "seq")
        if not increments.covers_raw_events(connection):
            due = replace(due, reason=builds.OUTSIDE)
    if due.reason:
        content = due.follow(connection, CLEAN_EVENTS)
        CLEAN_EVENTS.clear(connection)
        REMOVED_EVENTS.clear(connection)
        recomputed = clean_users(due)
    version = keep_statistics(connection)
    judge_outliers(content, version, outlier_deviations)
    return _note_cleaning(due, content, version, recomputed)


def _clean_users(
    connection: duckdb.DuckDBPyConnection,
    rules: dict[str, object],
    k_core: int,
    caused_weight: float,
    fill: FillByShards,
    due: increments.Due,
) -> int:
    """Make the rows of all users, or for an increment of those in `touched_users`; how many."""
    touched = not due.reason
    return s2_cleaning.clean_users(
        connection, rules, k_core, caused_weight, WHOLE if touched else fill, touched
    )


def _note_cleaning(due: increments.Due, content: Followed, version: str, recomputed: int) -> str:
    """Leave word of what was touched, for later tables and the next build; the version."""
    connection = content.connection
    if due.reason:
        increments.forget_words(connection)
        users = connection.execute(f"select count(distinct user_id) from {RAW}").fetchall()[0][0]
    elif users := increments.count_of(connection, "touched_users"):
        connection.execute(
            """insert into touched_users select distinct user_id from misjudged
            where user_id not in (from touched_users)"""
        )
        increments.leave_word(connection, due.number)
    else:  # no new build for anybody to look at
        due = replace(due, number=due.after)
    increments.keep_blocks(connection)
    removed = REMOVED_EVENTS.count(connection)
    state: dict[str, object] = {"statistics": version, "removed": removed}
    builds.record(connection, CLEAN_EVENTS, due.done(content.of_all(), recomputed, users, state))
    return version


def removal_counts(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """Events by the rule that removed them: columns reason, events."""
    return connection.execute(
        f"select reason, count(*) as events from {REMOVED_EVENTS.full_name} group by 1 order by 1"
    ).df()


def unknown_behaviors(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """Behaviours that the table `words` lacks: columns behavior, events."""
    return connection.execute(
        f"select behavior, count(*) as events from {CLEAN} anti join words using (behavior)"
        " group by 1 order by 2 desc, 1"
    ).df()
