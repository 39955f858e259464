"""What the loop measures of itself, by the day and by the rank: answers, order, concentration.

A slot is an item of a list that was shown: it has an impression. All of its responses belong to
the day of the first one, so that a click after midnight counts for the list that was seen before.
"""

import duckdb
import numpy as np
import pandas as pd

from llmrec_assets.core.rates import UserSums, mean_interval, rate_intervals
from llmrec_assets.sql.s4_tables import ITEMS
from llmrec_assets.sql.s7_tables import DAILY_MEASURES, FEEDBACK

SLOTS = f"""
create or replace temp table slots as
select model_version, caused_by, user_id, item_id, min(rank) as rank, min(timestamp)::date as day,
    coalesce(bool_or(role = 'click'), false) as clicked,
    coalesce(bool_or(role = 'conversion'), false) as converted,
    coalesce(bool_or(f.positive), false) as liked
from {FEEDBACK.full_name} as f left join words on words.behavior = response
where caused_by is not null group by model_version, caused_by, user_id, item_id
having bool_or(response = $exposure)
"""

# Of each user: slots, clicks, and purchases among the clicks; then their sums, squared and crossed.
SUMS = """
with of_user as (
    select {keys}, user_id, count(*) as n, sum(clicked::int) as c,
        sum((converted and clicked)::int) as b
    from slots where {where} group by all
)
select {keys}, count(*) as users, sum(n)::bigint as impressions, sum(c)::bigint as clicks,
    sum(b)::bigint as conversions, sum(n * n)::double as nn, sum(c * n)::double as cn,
    sum(c * c)::double as cc, sum(b * c)::double as bc, sum(b * b)::double as bb
from of_user group by {keys} order by {keys}
"""

ORDER = """
with of_list as (
    select caused_by, user_id, model_version, min(day) as day,
        sum(liked::int / log2(rank + 1)) as gain, sum(liked::int)::bigint as hits
    from slots where day is not null and rank is not null group by all having bool_or(liked)
), ratios as (
    select *, gain / list_sum(list_transform(range(1, hits + 1), lambda i: 1 / log2(i + 1))) as ndcg
    from of_list
)
select day, model_version, count(*) as answered_lists, avg(ndcg) as ndcg,
    stddev_samp(ndcg) as deviation
from ratios group by day, model_version
"""

# Items that were never shown come first in the order by impressions that Gini's formula needs.
CONCENTRATION = """
with catalogue as (select greatest($items, 1) as v),
shown as (
    select day, model_version, item_id, count(*) as n from slots where day is not null group by all
), placed as (
    select *, row_number() over (
        partition by day, model_version order by n desc, item_id) as place
    from shown
)
select day, model_version, least(count(*) / any_value(v), 1) as coverage,
    greatest(2 * sum((v + 1 - place) * n) / (any_value(v) * sum(n))
        - (any_value(v) + 1) / any_value(v), 0) as gini,
    sum(n) filter (place <= ceil(v / 100)) / sum(n) as top_share
from placed, catalogue group by day, model_version order by day, model_version
"""

FLOWS = f"""
select attribution, coalesce(model_version, '') as model_version, response, count(*) as responses
from {FEEDBACK.full_name} group by all order by all
"""

# How much of a day's responses, impressions apart, the most active user gave.
LARGEST_SHARE = f"""
with of_user as (
    select timestamp::date as day, user_id, count(*) as n from {FEEDBACK.full_name}
    where response <> $exposure and timestamp is not null group by all
)
select day, sum(n)::bigint as responses, count(*) as users, max(n) / sum(n) as largest_share
from of_user group by day having responses >= $least order by largest_share desc, day limit 1
"""


def build_daily(connection: duckdb.DuckDBPyConnection, exposure: str) -> pd.DataFrame:
    """Rebuild daily_measures; its rows in order of time. Needs the table `words`.

    Leaves the temporary table `slots`, which `by_rank` reads.
    """
    connection.execute(SLOTS, {"exposure": exposure})
    keys = "day, model_version"
    sums = connection.execute(SUMS.format(keys=keys, where="day is not null")).df()
    for name, columns in (
        ("click_through", ("clicks", "impressions", "cc", "nn", "cn")),
        ("conversion", ("conversions", "clicks", "bb", "cc", "bc")),
    ):
        _set(sums, name, rate_intervals(_user_sums(sums, columns)))
    found = sums.merge(connection.execute(ORDER).df(), "left", ["day", "model_version"])
    found["answered_lists"] = found["answered_lists"].fillna(0).astype("int64")
    mean, deviation, lists = (
        found[name].to_numpy(float) for name in ("ndcg", "deviation", "answered_lists")
    )
    _set(found, "ndcg", np.column_stack([mean, mean_interval(mean, deviation, lists)]))
    items = ITEMS.count(connection) if ITEMS.is_there(connection) else 0  # none was shown then
    shown = connection.execute(CONCENTRATION, {"items": items}).df()
    found = found.merge(shown, "left", ["day", "model_version"])
    connection.register("found", found)
    DAILY_MEASURES.replace(
        connection, f"select {DAILY_MEASURES.column_names} from found order by day, model_version"
    )
    connection.unregister("found")
    return connection.execute(f"from {DAILY_MEASURES.full_name} order by day, model_version").df()


def by_rank(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """Click-through by model version and rank, with intervals; needs `slots`."""
    query = SUMS.format(keys="model_version, rank", where="rank is not null")
    sums = connection.execute(query).df()
    names = ("clicks", "impressions", "cc", "nn", "cn")
    _set(sums, "click_through", rate_intervals(_user_sums(sums, names)))
    return sums


def concentration(connection: duckdb.DuckDBPyConnection, days: int) -> pd.DataFrame:
    """gini and top_share of the newest `days` days, each version counting by its impressions."""
    return connection.execute(
        f"""select day, sum(gini * impressions) / sum(impressions) as gini,
            sum(top_share * impressions) / sum(impressions) as top_share
        from {DAILY_MEASURES.full_name} group by day order by day desc limit ?""",
        [days],
    ).df()[::-1]


def flows(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """Responses by attribution, model version (empty for none) and kind."""
    return connection.execute(FLOWS).df()


def largest_share(connection: duckdb.DuckDBPyConnection, exposure: str, least: int) -> pd.DataFrame:
    """The day, among those of at least `least` responses, of which one user gave most."""
    return connection.execute(LARGEST_SHARE, {"exposure": exposure, "least": least}).df()


def _user_sums(sums: pd.DataFrame, columns: tuple[str, ...]) -> UserSums:
    return UserSums(*(sums[name].to_numpy(float) for name in columns))


def _set(frame: pd.DataFrame, name: str, values: np.ndarray) -> None:
    """Three columns: the measure and the ends of its interval."""
    for column, column_values in zip(
        (name, f"{name}_lower", f"{name}_upper"), values.T, strict=True
    ):
        frame[column] = column_values
