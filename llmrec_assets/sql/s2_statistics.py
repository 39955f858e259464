"""Stage 2 in SQL: how rating and value of each behaviour are spread, and what lies far outside.

The statistics of all users are computed anew in every build, in one pass, and events are judged by
them anew: whose events turn into outliers, or back, is touched by the build. So is_outlier is
always that of the newest statistics, whether the table was built whole or brought up to date.
"""

import duckdb

from llmrec_assets.core.splits import GLOBAL_TEST_SHARE
from llmrec_assets.sql.builds import last_build
from llmrec_assets.sql.fingerprints import Followed
from llmrec_assets.sql.s2_tables import CLEAN, CLEAN_EVENTS, VALUE_STATISTICS

# The time at place floor(n * share) of all times in order. Counting by bucket leaves one of some
# thousand buckets to be sorted.
CUT = f"""
with span as (
    select min(time) as lowest, (max(time) - min(time)) // 4096 + 1 as width,
        floor(count(*) * $train_share)::bigint as place
    from {CLEAN}
), reached as (
    select bucket, n, sum(n) over (order by bucket)::bigint as reached from (
        select (time - lowest) // width as bucket, count(*) as n from {CLEAN}, span group by bucket)
), found as (
    select lowest + bucket * width as lowest, width, place - (reached - n) as place
    from reached, span where reached > place order by bucket limit 1
)
select time from {CLEAN}, found where time between found.lowest and found.lowest + width - 1
order by time limit 1 offset (select place from found)
"""


# Observed once by parts that are in a fit or not, of which each fit is put together. Rounded: a
# parallel sum differs in its last digits from run to run, and the version is a hash.
STATISTICS = f"""
with observed as (
    select 'rating' as feature, behavior, rating as x, split, time
    from {CLEAN} where rating is not null
    union all select 'value', behavior, value, split, time from {CLEAN} where value is not null
), cut as (select ({CUT}) as time), parts as (
    select feature, behavior, split = 'train' as in_training, observed.time < cut.time as is_old,
        count(x) as n, fsum(x) as total, fsum(x) / count(x) as mean, var_pop(x) as variance,
        min(x) as minimum, max(x) as maximum
    from observed, cut group by all
), fitted as (
    select 'evaluation' as fit, * from parts where in_training
    union all select 'global', * from parts where is_old
    union all select 'final', * from parts
), means as (
    select fit, feature, behavior, fsum(total) / sum(n) as mean_of_all
    from fitted group by all
)
select fit, feature, behavior, sum(n)::bigint as n, round(mean_of_all, 6) as mean,
    round(sqrt(sum(n * (variance + (mean - mean_of_all) ** 2)) / sum(n)), 6) as std,
    min(minimum) as minimum, max(maximum) as maximum
from fitted join means using (fit, feature, behavior) group by fit, feature, behavior, mean_of_all
"""

BOUNDS = f"""
select feature, behavior, mean, $outlier_deviations * std as most
from {VALUE_STATISTICS.full_name} where version = $version and fit = 'evaluation' and std > 0
"""

# What is plausible with every behaviour need not be asked of its own. A hair is left for rounding.
PLAUSIBLE = f"""
with bounds as (select *, most - 1e-9 * most - 1e-15 * abs(mean) as surely from ({BOUNDS}))
select max(mean - surely) filter (feature = 'rating') as least_rating,
    min(mean + surely) filter (feature = 'rating') as most_rating,
    max(mean - surely) filter (feature = 'value') as least_value,
    min(mean + surely) filter (feature = 'value') as most_value
from bounds
"""
MISJUDGED = f"""
with bounds as ({BOUNDS})
select seq, user_id from {CLEAN} as e
left join bounds as r on r.feature = 'rating' and r.behavior = e.behavior
left join bounds as v on v.feature = 'value' and v.behavior = e.behavior
where (is_outlier or e.rating not between $least_rating and $most_rating
        or e.value not between $least_value and $most_value)
    and is_outlier <> (coalesce(abs(e.rating - r.mean) > r.most, false)
    or coalesce(abs(e.value - v.mean) > v.most, false))
"""

QUERIES = (STATISTICS, PLAUSIBLE, MISJUDGED)


def keep_statistics(connection: duckdb.DuckDBPyConnection) -> str:
    """Store the statistics under a version that is the hash of their values; the version."""
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
    connection.execute("drop table observed")
    return version


def judge_outliers(content: Followed, version: str, deviations: float) -> None:
    """Let is_outlier be what the statistics of a version say; `misjudged` holds what changed.

    Args:
        content: the fingerprint of clean_events.
        version: of the statistics.
        deviations: standard deviations from which a value is an outlier.
    """
    connection, misjudged = content.connection, "seq in (select seq from misjudged)"
    bounds = {"version": version, "outlier_deviations": deviations}
    limits = connection.sql(PLAUSIBLE, params=bounds)
    plausible = dict(zip(limits.columns, limits.fetchall()[0], strict=True))
    connection.execute(f"create or replace temp table misjudged as {MISJUDGED}", bounds | plausible)
    with content.changing(misjudged):
        connection.execute(f"update {CLEAN} set is_outlier = not is_outlier where {misjudged}")


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
    build = last_build(connection, CLEAN_EVENTS)
    return str(build.state["statistics"]) if build else ""
