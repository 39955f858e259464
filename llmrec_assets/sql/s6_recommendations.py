"""Stage 6 in SQL: every list ever made, and the published newest ones."""

from pathlib import Path

import duckdb

from llmrec_assets.sql.tables import Column, Table

SCHEMA = "s6_recommendations"
CHAMPION = "s5_model.champion_model"
FUSED = "s4_features.fused_features"

RECOMMENDATIONS = Table(
    SCHEMA,
    "recommendations",
    (
        Column("list_id", "varchar", "One user's list: hash of user, model version, newest event"
               " and settings; the same inputs give the same id.", (f"{CHAMPION}.served",)),
        Column("user_id", "varchar", "Whose list.", ("s4_features.fused_features.user_code",),
               private=True),
        Column("rank", "integer", "Place in the list, from 1."),
        Column("item_id", "varchar", "What is recommended.", (f"{FUSED}.item_code",)),
        Column("score", "double", "The scorer's logit."),
        Column("probability", "double", "Of being next, among all items of the catalogue."),
        Column("propensity", "double", "Probability with which this slot got this item; 1 where"
               " nothing was drawn."),
        Column("source", "varchar", "model: the champion ranked it; exploration: drawn at random;"
               " fallback: a baseline ranked it, or nothing unseen was left."),
        Column("model_version", "varchar", "Champion, or baseline and hash of its data.",
               (f"{CHAMPION}.served",)),
        Column("generated_at", "timestamp", "UTC."),
    ),
)  # fmt: skip

PUBLISHED_COLUMNS = RECOMMENDATIONS.column_names

# Who is only in raw_events lost all events to cleaning and gets the popular items.
EVERY_USER = "select distinct user_id from s1_raw_events.raw_events order by user_id"


def every_user(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """Every user of the events, in the order of their ids."""
    return [row[0] for row in connection.execute(EVERY_USER).fetchall()]


def keep_lists(connection: duckdb.DuckDBPyConnection, lists: Path, keep_days: int) -> None:
    """Add the lists of a Parquet file, once each, and forget those older than `keep_days`."""
    RECOMMENDATIONS.create(connection)
    table = RECOMMENDATIONS.full_name
    connection.execute(
        f"delete from {table} where list_id in (select list_id from read_parquet(?))",
        [str(lists)],
    )
    connection.execute(f"insert into {table} by name from read_parquet(?)", [str(lists)])
    connection.execute(
        f"delete from {table} where generated_at < now()::timestamp - to_days(?::integer)",
        [keep_days],
    )


def publish_items(connection: duckdb.DuckDBPyConnection, target: Path) -> None:
    """Replace the published titles, atomically."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}")
    connection.sql(
        "select item_id, title from s2_sequences.item_texts order by item_id"
    ).write_parquet(str(partial))
    partial.replace(target)
