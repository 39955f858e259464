"""Stage 2 in SQL: which events count, in what order, and how a history reads as text.

What concerns one user is done shard by shard. What needs every user (the k-core, the statistics,
the texts of items) is done once, over what the shards left.
"""

import duckdb
import pandas as pd
import pyarrow as pa

from llmrec_assets.core.behaviors import Behavior, word
from llmrec_assets.core.splits import GLOBAL_TEST_SHARE
from llmrec_assets.sql import s2_history_texts as histories_sql
from llmrec_assets.sql import s2_texts as texts_sql
from llmrec_assets.sql.s2_tables import (
    CLEAN,
    CLEAN_EVENTS,
    EVENT_DETAILS,
    HISTORY_TEXTS,
    ITEMS,
    RAW,
    REMOVED_EVENTS,
    SCHEMA,
    USER_SEQUENCES,
    VALUE_STATISTICS,
)
from llmrec_assets.sql.shards import BELONGS, Shard, shards

# A bot does more on a day than people do, or hardly anything but push one item.
BOT_ONE_ITEM_SHARE, BOT_ONE_ITEM_EVENTS = 0.8, 50

# A rule is the first that applies; the order is that of the README.
JUDGED_EVENTS = f"""
with shard as (
    select seq, event_id, user_id, item_id, timestamp, step, behavior, rating, value, session_id,
        caused_by, own_event_id, ingested_at,
        coalesce(epoch_us(timestamp), step) as time,
        count(*) over (partition by user_id, timestamp::date) as events_that_day,
        count(*) over (partition by user_id, item_id) as events_of_item,
        row_number() over (
            partition by user_id, item_id, timestamp, step, behavior
            order by own_event_id desc, seq
        ) as repeat_number
    from {RAW} where {BELONGS}
), bots as (
    select user_id, bool_or(timestamp is not null and events_that_day > $bot_events_per_day)
        or (count(*) >= $bot_one_item_events
            and max(events_of_item) > $bot_one_item_share * count(*)) as bot
    from shard group by user_id
)
select shard.*, bot as is_bot,
    case
        when timestamp < $earliest::timestamp then 'time before ' || $earliest
        when timestamp > ingested_at + to_days(1) then 'time in the future'
        when repeat_number > 1 and not own_event_id
            then 'repeats another event of the same user, item, time and behaviour'
        when behavior = 'impression' then 'an impression is nothing that the user did'
        when bot and $drop_bots then 'bot'
    end as reason
from shard join bots using (user_id)
"""

# Positive events at or after each one place it: the last positive is the test target, the one
# before it the validation target, and only what precedes that is training.
ORDERED_EVENTS = f"""
with known as (
    select judged.*, coalesce(words.positive, true) and not is_bot as positive,
        coalesce(words.weight, 1)
            * case when caused_by is null then 1 else $caused_weight end as weight
    from judged left join words using (behavior)
    where reason is null and {BELONGS}
), placed as (
    select *, sum(positive::int) over (
        partition by user_id order by time desc, seq desc rows unbounded preceding
    ) as positives_ahead
    from known
)
select *, false as is_outlier,
    case
        when positives_ahead > 2 or (positives_ahead = 2 and not positive) then 'train'
        when positives_ahead = 2 or (positives_ahead = 1 and not positive) then 'validation'
        else 'test'
    end as split
from placed
"""

# One round of k-core; repeated by its caller until nothing changes.
BELOW_CORE = """
select seq from judged where reason is null and (
    user_id in (select user_id from judged where reason is null
                group by user_id having count(*) < $k)
    or item_id in (select item_id from judged where reason is null
                   group by item_id having count(distinct user_id) < $k))
"""

# Rounded: a parallel sum differs in its last digits from run to run, and the version is a hash.
STATISTICS = f"""
with observed as (
    select split, time, behavior, unnest([
        {{'feature': 'rating', 'x': rating}}, {{'feature': 'value', 'x': value}}
    ], recursive := true)
    from {CLEAN}
)
select fit, feature, behavior, count(x) as n, round(avg(x), 6) as mean,
    round(stddev_pop(x), 6) as std, min(x) as minimum, max(x) as maximum
from observed, (values ('evaluation'), ('global'), ('final')) as fits(fit)
where x is not null and case fit
    when 'evaluation' then split = 'train'
    when 'global' then time < (
        select time from {CLEAN} order by time
        limit 1 offset (select floor(count(*) * $train_share)::bigint from {CLEAN}))
    else true end
group by all
"""

MARK_OUTLIERS = f"""
update {CLEAN} as e set is_outlier = true
from {SCHEMA}.value_statistics as s
where s.version = $version and s.fit = 'evaluation' and s.behavior = e.behavior and s.std > 0
    and abs(case s.feature when 'rating' then e.rating else e.value end - s.mean)
        > $outlier_deviations * s.std
"""

# One ordered list of structs per user: one sort instead of one per column.
HISTORIES = f"""
with newest as (
    select user_id, time, seq, item_id, behavior,
        count(*) over users as n_events, min(time) over users as first_time,
        max(time) over users as last_time,
        row_number() over (users order by time desc, seq desc) as age
    from {CLEAN} where {BELONGS} window users as (partition by user_id)
), lists as (
    select user_id, n_events, first_time, last_time, list({{
        'item_id': item_id, 'behavior': behavior,
        'text': coalesce(word, behavior) || $joiner || title
    }} order by time, newest.seq) as steps
    from newest join {SCHEMA}.item_texts using (item_id) left join words using (behavior)
    where age <= $history_length group by all
)
select user_id, n_events, first_time, last_time,
    list_transform(steps, lambda s: s.item_id) as item_ids,
    list_transform(steps, lambda s: s.behavior) as behaviors,
    '[' || array_to_string(list_transform(steps, lambda s: s.text), $separator) || ']'
        as history_text
from lists
"""

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
    shard_count: int = 1,
) -> str:
    """Build clean_events and removed_events from the raw ones; the version of the statistics.

    Needs the table `words`. With `k_core` of 0 or 1 nobody is removed for having few events.
    The tables hold the same rows for every `shard_count`: users are judged and ordered in shards,
    the k-core and the statistics see the events of all of them.
    """
    rules = {
        "earliest": earliest,
        "bot_events_per_day": bot_events_per_day,
        "bot_one_item_share": bot_one_item_share,
        "bot_one_item_events": bot_one_item_events,
        "drop_bots": drop_bots,
    }
    connection.execute(
        f"create or replace temp table judged as {JUDGED_EVENTS} with no data",
        {**rules, **Shard().parameters},
    )
    for shard in shards(shard_count):
        judge_events(connection, shard, rules)
    if k_core > 1:
        _remove_below_core(connection, k_core)
    REMOVED_EVENTS.replace(
        connection, "select seq, reason from judged where reason is not null order by seq"
    )
    CLEAN_EVENTS.clear(connection)
    for shard in shards(shard_count):
        order_events(connection, shard, caused_weight)
    connection.execute("drop table judged")
    return _keep_statistics(connection, outlier_deviations)


def judge_events(
    connection: duckdb.DuckDBPyConnection, shard: Shard, rules: dict[str, object]
) -> None:
    """Add the shard's raw events, each with the rule that removes it, to the table `judged`."""
    connection.execute(
        f"insert into judged by name ({JUDGED_EVENTS})", {**rules, **shard.parameters}
    )


def order_events(
    connection: duckdb.DuckDBPyConnection, shard: Shard, caused_weight: float = 1.0
) -> None:
    """Add the shard's events that no rule removed, in order and split, to clean_events."""
    query = f"select {CLEAN_EVENTS.column_names} from ({ORDERED_EVENTS}) order by seq"
    CLEAN_EVENTS.insert(connection, query, {"caused_weight": caused_weight, **shard.parameters})


def _remove_below_core(connection: duckdb.DuckDBPyConnection, k: int) -> None:
    reason = f"below the {k}-core"
    while True:
        connection.execute(f"create or replace temp table below as {BELOW_CORE}", {"k": k})
        if not connection.execute("select count(*) from below").fetchall()[0][0]:
            return
        connection.execute(
            "update judged set reason = ? where seq in (select seq from below)", [reason]
        )


def _keep_statistics(connection: duckdb.DuckDBPyConnection, deviations: float) -> str:
    """Store the statistics under a version that is the hash of their values; mark outliers."""
    VALUE_STATISTICS.create(connection)
    connection.execute(
        f"create or replace temp table observed as {STATISTICS}",
        {"train_share": 1 - GLOBAL_TEST_SHARE},
    )
    version = connection.execute(
        "select left(md5(coalesce(string_agg(observed::varchar, ';' order by fit, feature,"
        " behavior), '')), 12) from observed"
    ).fetchall()[0][0]
    connection.execute(
        f"insert or replace into {VALUE_STATISTICS.full_name} by name (select ? as version,"
        " *, now()::timestamp as computed_at from observed)",
        [version],
    )
    connection.execute(MARK_OUTLIERS, {"version": version, "outlier_deviations": deviations})
    return version


def statistics_beyond_training(connection: duckdb.DuckDBPyConnection, version: str) -> int:
    """Statistics of the evaluation fit that are not those of the training events alone."""
    return connection.execute(
        f"""with kept as (
            select * exclude (version, computed_at) from {VALUE_STATISTICS.full_name}
            where version = $version and fit = 'evaluation'
        ), again as (select * from ({STATISTICS}) where fit = 'evaluation')
        select (select count(*) from (from kept except from again))
            + (select count(*) from (from again except from kept))""",
        {"version": version, "train_share": 1 - GLOBAL_TEST_SHARE},
    ).fetchall()[0][0]


def newest_statistics(connection: duckdb.DuckDBPyConnection) -> str:
    """The version of value_statistics that the clean events were made with; empty without any."""
    rows = connection.execute(
        f"select version from {VALUE_STATISTICS.full_name} order by computed_at desc limit 1"
    ).fetchall()
    return rows[0][0] if rows else ""


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
    shard_count: int = 1,
) -> int:
    """Build the texts of items, steps and histories and user_sequences from the clean events.

    Needs the table `words`. The tables hold the same rows for every `shard_count`. Returns the
    number of items that have the built-in text because their own values break the template.
    """
    joiner, separator = ("", "，") if language == "zh" else (" ", ", ")
    fell_back = texts_sql.build_item_texts(
        connection, language, text_template, description_characters
    )
    EVENT_DETAILS.clear(connection)
    if step_details:
        texts_sql.build_event_details(connection, language, review_characters)
    texts_sql.build_step_texts(connection, joiner)
    USER_SEQUENCES.clear(connection)
    reading = {"joiner": joiner, "separator": separator, "history_length": history_length}
    for shard in shards(shard_count):
        read_histories(connection, shard, reading)
    HISTORY_TEXTS.clear(connection)
    if history_texts:
        cut = histories_sql.global_cut(connection)
        telling = reading | {"cut": cut, "history_characters": history_characters}
        for shard in shards(shard_count):
            histories_sql.tell_histories(connection, shard, telling)
    return fell_back


def read_histories(
    connection: duckdb.DuckDBPyConnection, shard: Shard, reading: dict[str, object]
) -> None:
    """Add the histories of the shard's users to user_sequences."""
    parameters = {**reading, **shard.parameters}
    USER_SEQUENCES.insert(connection, f"{HISTORIES} order by user_id", parameters)


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
