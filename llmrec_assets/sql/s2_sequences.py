"""Stage 2 in SQL: which events count, in what order, and how a history reads as text.

What concerns one user is done shard by shard. What needs every user (the k-core, the statistics,
the texts of items) is done once, over what the shards left.
"""

from dataclasses import replace
from functools import partial

import duckdb
import pandas as pd
import pyarrow as pa

from llmrec_assets.core.behaviors import Behavior, word
from llmrec_assets.sql import builds, increments, s2_cleaning
from llmrec_assets.sql import s2_history_texts as histories_sql
from llmrec_assets.sql import s2_retelling as retelling
from llmrec_assets.sql import s2_texts as texts_sql
from llmrec_assets.sql.fingerprints import Followed, row_text
from llmrec_assets.sql.s2_statistics import QUERIES, judge_outliers, keep_statistics
from llmrec_assets.sql.s2_tables import (
    CLEAN,
    CLEAN_EVENTS,
    EVENT_DETAILS,
    HISTORY_TEXTS,
    ITEM_TEXTS,
    ITEMS,
    RAW,
    REMOVED_EVENTS,
    SCHEMA,
    STEP_TEXTS,
    USER_SEQUENCES,
)
from llmrec_assets.sql.shards import BELONGS, WHOLE, FillByShards, ShardedQuery

# A bot does more on a day than people do, or hardly anything but push one item.
BOT_ONE_ITEM_SHARE, BOT_ONE_ITEM_EVENTS = 0.8, 50

# All that makes clean events what they are; a change of it is a change of settings.
CLEANING = (
    CLEAN_EVENTS.ddl,
    row_text(CLEAN_EVENTS),
    REMOVED_EVENTS.ddl,
    *s2_cleaning.QUERIES,
    increments.BLOCKS,
    *QUERIES,
)

# Only the newest events are put into words and lists: one ordered list of structs per user, which
# is one sort instead of one per column.
HISTORIES = f"""
with spans as (
    select user_id, count(*) as n_events, min(time) as first_time, max(time) as last_time
    from {CLEAN} where {BELONGS} group by user_id
), newest as (
    select user_id, item_id, behavior,
        row_number() over (partition by user_id order by time desc, seq desc) as age
    from {CLEAN} where {BELONGS} qualify age <= $history_length
), told as (
    select user_id, list({{
        'item_id': item_id, 'behavior': behavior,
        'text': coalesce(word, behavior) || $joiner || title
    }} order by age desc) as steps
    from newest join {SCHEMA}.item_texts using (item_id) left join words using (behavior)
    group by user_id
), lists as (
    select * from spans join told using (user_id)
)
select user_id, n_events, first_time, last_time,
    list_transform(steps, lambda s: s.item_id) as item_ids,
    list_transform(steps, lambda s: s.behavior) as behaviors,
    '[' || array_to_string(list_transform(steps, lambda s: s.text), $separator) || ']'
        as history_text
from lists
"""

TOLD = (ITEM_TEXTS, STEP_TEXTS, HISTORY_TEXTS)  # built together with user_sequences
READING = (
    HISTORIES,
    histories_sql.HISTORIES,
    USER_SEQUENCES.ddl,
    row_text(USER_SEQUENCES),
)

TITLES_ARE_CHINESE = f"""
select coalesce(avg(regexp_matches(title, '[\\x{{4e00}}-\\x{{9fff}}]')::int), 0) > 0.5 as chinese
from {ITEMS} where title is not null
"""


def register_words(
    connection: duckdb.DuckDBPyConnection, behaviors: dict[str, Behavior], language: str
) -> None:
    """Make the temporary table `words` of the dictionary: behavior, word and how it counts."""
    rows = pa.table(
        {
            "behavior": list(behaviors),
            "word": [word(name, language, behaviors) for name in behaviors],
            "weight": [b.weight for b in behaviors.values()],
            "positive": [b.positive for b in behaviors.values()],
            "role": [b.role for b in behaviors.values()],
            "value": [b.value for b in behaviors.values()],
            "hides": [b.hides for b in behaviors.values()],
        }
    )
    connection.register("dictionary", rows)
    connection.execute("create or replace temp table words as from dictionary")
    connection.unregister("dictionary")


def detect_language(connection: duckdb.DuckDBPyConnection) -> str:
    """`zh` when most titles hold Chinese characters, else `en`."""
    return "zh" if connection.execute(TITLES_ARE_CHINESE).fetchall()[0][0] else "en"


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
        with content.changing(increments.IS_TOUCHED):
            increments.take_out_touched(connection)
            increments.forget_touched(connection, REMOVED_EVENTS)
            recomputed = clean_users(due)
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
    """Add the rows of all users, or for an increment of those in `touched_users`; how many."""
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


def build_sequences(
    connection: duckdb.DuckDBPyConnection,
    language: str,
    *,
    history_length: int,
    description_characters: int,
    text_template: str = "",
    step_details: bool = False,
    review_characters: int = 300,
    history_texts: bool = False,
    history_characters: int = 300,
    fill: FillByShards = WHOLE,
    rebuild: bool = False,
) -> int:
    """Bring the texts of items, steps and histories and user_sequences up to date.

    Needs the table `words`. Told anew are items whose newest delivery is another one, steps that
    came or went or whose item has another text, and users whom cleaning touched or whose items have
    another title. With `step_details`, whose scale of ratings depends on everybody, all steps and
    history texts are. The tables hold the same rows either way and for every `fill`.

    Returns:
        The number of items that have the built-in text because their own values break the template.
    """
    joiner, separator = ("", "，") if language == "zh" else (" ", ", ")
    reading = {"joiner": joiner, "separator": separator, "history_length": history_length}
    options = [description_characters, text_template, step_details, review_characters,
               history_texts, history_characters]  # fmt: skip
    settings = builds.settings_hash(
        connection, language, reading, options, builds.words_of(connection), READING,
        texts_sql.code(),
    )  # fmt: skip
    due = increments.due(connection, USER_SEQUENCES, settings, rebuild)
    due = increments.unless_changed(connection, due, TOLD)
    again, details_again = not due.reason, not due.reason and not step_details
    if again:
        retelling.find_items(connection)
    texts_sql.build_item_texts(connection, language, text_template, description_characters, again)
    if again:
        retelling.find_steps(connection)
        retelling.touch_readers(connection)
    if not details_again:
        EVENT_DETAILS.clear(connection)
    if step_details:
        texts_sql.build_event_details(connection, language, review_characters)
    texts_sql.build_step_texts(connection, joiner, details_again)
    telling = None
    if history_texts:
        cut = histories_sql.global_cut(connection)
        telling = reading | {"cut": cut, "history_characters": history_characters}
    _tell_users(connection, telling, due, details_again, fill)
    content = due.follow(connection, USER_SEQUENCES)
    with content.changing(increments.IS_TOUCHED):
        recomputed = _read_users(connection, reading, again, fill)
    users = increments.count_of(connection, "touched_users" if again else USER_SEQUENCES.full_name)
    state = increments.rows_of(connection, TOLD) | {"cut": telling and telling["cut"]}
    builds.record(connection, USER_SEQUENCES, due.done(content.of_all(), recomputed, users, state))
    return texts_sql.fallen_back(connection)


def _tell_users(
    connection: duckdb.DuckDBPyConnection,
    telling: dict[str, object] | None,
    due: increments.Due,
    again: bool,
    fill: FillByShards,
) -> None:
    """Bring history_texts up to date: those of `touched_users`, and of whom a new cut moves.

    All of them where `again` is false, or where the cut comes or goes; none without `telling`.
    """
    if telling is None:
        HISTORY_TEXTS.clear(connection)
        return
    cut, before = telling["cut"], due.state.get("cut")
    again = again and (cut is None) == (before is None)
    if again:
        retelling.touch_tellers(connection, before, cut)
        increments.forget_touched(connection, HISTORY_TEXTS)
    else:
        HISTORY_TEXTS.clear(connection)
    (WHOLE if again else fill)(connection, histories_sql.told_histories(telling, again))


def _read_users(
    connection: duckdb.DuckDBPyConnection,
    reading: dict[str, object],
    again: bool,
    fill: FillByShards,
) -> int:
    """Bring user_sequences up to date, only by `touched_users` if `again`; rows that are new."""
    if again:
        increments.forget_touched(connection, USER_SEQUENCES)
    else:
        USER_SEQUENCES.clear(connection)
    before = USER_SEQUENCES.count(connection)
    (WHOLE if again else fill)(connection, histories(reading, again))
    return USER_SEQUENCES.count(connection) - before


def histories(reading: dict[str, object], touched: bool = False) -> ShardedQuery:
    """The histories of users, for user_sequences.

    `touched`: only of users in the table `touched_users`.
    """
    query = increments.of_touched(HISTORIES) if touched else HISTORIES
    return ShardedQuery(
        USER_SEQUENCES.full_name,
        f"{query} order by user_id",
        reading,
        {CLEAN: "user_id, time, seq, item_id, behavior"},
        (ITEM_TEXTS.full_name, "words"),
    )


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
