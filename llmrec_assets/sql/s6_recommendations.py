"""Stage 6 in SQL: every list ever made, and the published newest ones."""

from pathlib import Path

import duckdb
import pandas as pd

from llmrec_assets.sql import landing_names
from llmrec_assets.sql.s1_tables import SERVED_PREFIX
from llmrec_assets.sql.tables import Column, Table

SCHEMA = "s6_recommendations"
CHAMPION = "s5_model.champion_model"
FUSED = "s4_features.fused_features"

RECOMMENDATIONS = Table(
    SCHEMA,
    "recommendations",
    (
        Column("list_id", "varchar", "One user's list: hash of user, model version, data and"
               " settings; the same inputs give the same id.", (f"{CHAMPION}.served",)),
        Column("user_id", "varchar", "Whose list.", ("s4_features.fused_features.user_id",),
               private=True),
        Column("rank", "integer", "Place in the list, from 1."),
        Column("item_id", "varchar", "What is recommended.", (f"{FUSED}.item_id",)),
        Column("score", "double", "The scorer's logit."),
        Column("probability", "double", "Of being next, among all items of the catalogue."),
        Column("propensity", "double", "Probability with which this slot got this item, given the"
               " slots above it; 1 where nothing was drawn."),
        Column("source", "varchar", "model: the champion ranked it; exploration: drawn at random;"
               " fallback: a baseline ranked it, or nothing unseen was left."),
        Column("model_version", "varchar", "Champion, or baseline and hash of its data.",
               (f"{CHAMPION}.served",)),
        Column("generated_at", "timestamp", "UTC.", clock=True),
    ),
)  # fmt: skip

PUBLISHED_COLUMNS = RECOMMENDATIONS.column_names

# Who is only in raw_events lost all events to cleaning and gets the popular items.
# Events that came in after cleaning are the next run's, also where one took an older one's place.
EVERY_USER = """
select user_id from s2_sequences.clean_events
union
select user_id from s1_raw_events.raw_events where seq <= (
    select coalesce(max(seq), 0) from (
        select seq from s2_sequences.clean_events
        union all select seq from s2_sequences.removed_events))
order by user_id
"""

LIST_FAULTS = f"""
with lists as (
    select {{user}} as user_id, count(*) = max(rank) and min(rank) = 1
        and count(distinct item_id) = count(*)
        and bool_and(isfinite(score) and probability between 0 and 1
            and propensity > 0 and propensity <= 1) as sound
    from read_parquet(?) group by 1
) select
    (select count(*) from ({EVERY_USER})
        where user_id not in (select user_id from lists)) as missing,
    (select count(*) from lists where not sound) as broken
"""


def every_user(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Every user of the events, in the order of their ids."""
    return [row[0] for row in connection.execute(EVERY_USER).fetchall()]


def hidden_items(connection: duckdb.DuckDBPyConnection, hiding: list[str]) -> pd.DataFrame:
    """What users want no more of, by any event of the behaviours `hiding`: user_id, item_id.

    Read of the raw events, so that what came in after cleaning, or was removed by it, counts too.
    """
    return connection.execute(
        """select distinct user_id, item_id from s1_raw_events.raw_events
        where list_contains(?::varchar[], behavior) order by all""",
        [hiding],
    ).df()


def list_faults(connection: duckdb.DuckDBPyConnection, lists: Path) -> tuple[int, int]:
    """(users without a list, lists with gaps, doubles or numbers that are none) of a file."""
    query = LIST_FAULTS.format(user=landing_names.pseudonym(connection, "user_id"))
    missing, broken = connection.execute(query, [str(lists)]).fetchall()[0]
    return missing, broken


def keep_lists(connection: duckdb.DuckDBPyConnection, lists: Path, keep_days: int) -> None:
    """Add the lists of a Parquet file, once each, and forget those older than `keep_days`."""
    RECOMMENDATIONS.create(connection)
    table = RECOMMENDATIONS.full_name
    connection.execute(
        f"insert into {table} by name from read_parquet(?)"
        f" where list_id not in (select list_id from {table})",
        [str(lists)],
    )
    connection.execute(
        f"delete from {table} where generated_at < now()::timestamp - to_days(?::integer)",
        [keep_days],
    )


def item_facts(connection: duckdb.DuckDBPyConnection, items: list[str]) -> pd.DataFrame:
    """item_id, title, category, brand and price of `items`, in their order."""
    found = connection.execute(
        """select item_id, texts.title, category, brand, price::double as price
        from s2_sequences.item_texts as texts left join s1_raw_events.raw_items using (item_id)"""
    ).df()
    return found.set_index("item_id").reindex(items).rename_axis("item_id").reset_index()


def ingested_segments(connection: duckdb.DuckDBPyConnection, through: int) -> list[str]:
    """Files of an online service whose events, all up to sequence number `through`, are in."""
    return [
        row[0]
        for row in connection.execute(
            f"""select name from s1_raw_events.files where kind = 'events'
                and starts_with(name, '{SERVED_PREFIX}')
            and content_hash not in (
                select file_hash from s1_raw_events.raw_events where seq > ?)
            order by name""",
            [through],
        ).fetchall()
    ]


def publish_items(connection: duckdb.DuckDBPyConnection, target: Path) -> None:
    """Replace the published titles, atomically."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}")
    connection.sql(
        "select item_id, title from s2_sequences.item_texts order by item_id"
    ).write_parquet(str(partial))
    partial.replace(target)
