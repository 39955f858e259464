"""What the newest files of events and of items were like, one row a file."""

import json

import duckdb
import pandas as pd

from llmrec_assets.sql.s1_batches import STANDING
from llmrec_assets.sql.s1_tables import (
    FILES,
    ITEM_ARRIVALS,
    RAW_EVENTS,
    RAW_ITEMS,
    REPAIRED_PREFIX,
    RETURNED_PREFIX,
    SERVED_PREFIX,
)

# Columns that a file may leave out.
OPTIONAL = ("rating", "value", "session_id", "text", "context")
_FILES_LOOKED_AT = 21


def measures(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """The newest files that brought events, the newest first.

    Files that the service and the feedback stage write are left out: they are as small as the
    traffic of a moment. So are those of mended rows.

    Returns:
        `name`, `events`, `lag_hours` (of the newest event when the file came in; null where time is
        relative), the share of events that have each of `OPTIONAL` (`has_…`), and the shares of the
        file's users and items that earlier files had (`users_known`, `items_known`).
    """
    shares = ", ".join(f"count({name}) / count(*) as has_{name}" for name in OPTIONAL)
    return connection.execute(
        f"""with newest as (
            select content_hash as file_hash, name, ingested_at from {FILES.full_name}
            where kind = 'events' and accepted > 0
                and not starts_with(name, '{RETURNED_PREFIX}')
                and not starts_with(name, '{SERVED_PREFIX}')
                and not starts_with(name, '{REPAIRED_PREFIX}')
                and content_hash in (select file_hash from {RAW_EVENTS.full_name})
            order by ingested_at desc, name desc limit {_FILES_LOOKED_AT}
        ), rows_of as (
            select e.*, name, newest.ingested_at as came,
                min(seq) over (partition by file_hash) as first_seq
            from {RAW_EVENTS.full_name} e join newest using (file_hash)
        ), first_users as (
            select user_id, min(seq) as seq from {RAW_EVENTS.full_name} group by all
        ), first_items as (
            select item_id, min(seq) as seq from {RAW_EVENTS.full_name} group by all
        ), told as (
            select file_hash, any_value(name) as name, any_value(came) as came,
                count(*)::double as events,
                epoch(any_value(came) - max(timestamp)) / 3600 as lag_hours, {shares}
            from rows_of group by file_hash
        ), users as (
            select file_hash, avg((first_users.seq < first_seq)::int) as users_known
            from (select distinct file_hash, first_seq, user_id from rows_of)
            join first_users using (user_id) group by all
        ), items as (
            select file_hash, avg((first_items.seq < first_seq)::int) as items_known
            from (select distinct file_hash, first_seq, item_id from rows_of)
            join first_items using (item_id) group by all
        )
        select told.* exclude (file_hash, came), users_known, items_known
        from told join users using (file_hash) join items using (file_hash)
        order by came desc, name desc"""
    ).df()


def item_measures(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """The newest files of items, the newest first, but those of mended rows.

    Returns:
        `name`, `items`, the share of them that earlier files had (`items_known`), and of its rows
        those that have each column that any of the files has (`has_…`).
    """
    found = connection.execute(
        f"""select name, items::double as items, items_known, shares
        from {ITEM_ARRIVALS.full_name} join {STANDING} files
            on kind = 'items' and content_hash = file_hash
        where not starts_with(name, '{REPAIRED_PREFIX}')
        order by ingested_at desc, name desc limit {_FILES_LOOKED_AT}"""
    ).df()
    shares = pd.DataFrame([json.loads(text) for text in found["shares"]], dtype=float)
    return pd.concat([found.drop(columns="shares"), shares.fillna(0.0).add_prefix("has_")], axis=1)


def overlap(connection: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    """How many items events are of, and how many of those some file of items describes."""
    return connection.execute(
        f"""select count(*),
            count(*) filter (item_id in (select item_id from {RAW_ITEMS.full_name}))
        from (select distinct item_id from {RAW_EVENTS.full_name})"""
    ).fetchall()[0]
