"""Stage 2 in shards: the same tables, however the users are divided."""

import hashlib

import duckdb
import pandas as pd
import pytest

from llmrec_assets.core.behaviors import Behavior
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.sql import s2_clean_events, s2_sequences, s2_tables, s2_words
from llmrec_assets.sql.s1_tables import RAW_EVENTS, RAW_ITEMS
from llmrec_assets.sql.shards import BELONGS, InPlace, Shard, shards

BEHAVIORS = {"buy": Behavior(weight=2), "skip": Behavior(positive=False)}
TABLES = {
    s2_tables.CLEAN_EVENTS: "seq",
    s2_tables.REMOVED_EVENTS: "seq",
    s2_tables.VALUE_STATISTICS: "version, fit, feature, behavior",
    s2_tables.ITEM_TEXTS: "item_id",
    s2_tables.STEP_TEXTS: "behavior, item_id, details",
    s2_tables.EVENT_DETAILS: "seq",
    s2_tables.HISTORY_TEXTS: "user_id, n_events",
    s2_tables.USER_SEQUENCES: "user_id",
}


def shard_of(user: str, count: int) -> int:
    return int.from_bytes(hashlib.md5(user.encode()).digest()[8:], "little") % count


# Of three shards the one in the middle is empty.
USERS = [user for user in map("user {}".format, range(60)) if shard_of(user, 3) != 1]


def write_log(connection: duckdb.DuckDBPyConnection) -> None:
    """Events that meet every rule: bots, repeats, impressions and wild ratings.

    The rare items have three users of both shards, or two where the third did too little.
    """
    RAW_EVENTS.create(connection)
    RAW_ITEMS.create(connection)
    connection.register("users", pd.DataFrame({"user_id": USERS, "u": range(len(USERS))}))
    connection.execute(
        f"""insert into {RAW_EVENTS.full_name} by name
        select row_number() over (order by t, u) as seq, 'e' || seq as event_id, user_id,
            case when t = 7 then 'rare ' || u // 3 else 'item ' || (u * t) % 9 end as item_id,
            timestamp '2024-01-01' + to_hours((case when u = 3 then 0 else 9 * t // 2 end)::int)
                as timestamp,
            case t % 5 when 1 then 'skip' when 4 then 'impression' else 'buy' end as behavior,
            case when u = 5 and t = 0 then 1e6 else u % 5 end as rating, u / 7 as value,
            case when t % 3 = 0 then 'list ' || u end as caused_by,
            false as own_event_id, timestamp '2024-02-01' as ingested_at
        from users, range(12) as times(t) where u % 10 < 9 or t < 2"""
    )
    connection.execute(
        f"insert into {RAW_ITEMS.full_name} by name select 'item 1' as item_id, 'One' as title"
    )


def build(warehouse: Warehouse, shard_count: int, k_core: int) -> dict[str, pd.DataFrame]:
    """Build stage 2 in one transaction; its tables."""
    with warehouse.connect() as connection:
        s2_words.register_words(connection, BEHAVIORS, "en")
        s2_clean_events.clean(
            connection,
            earliest="1990-01-01",
            bot_events_per_day=9,
            drop_bots=False,
            k_core=k_core,
            outlier_deviations=6.0,
            caused_weight=0.5,
            fill=InPlace(shard_count),
            rebuild=True,
        )
        s2_sequences.build_sequences(
            connection,
            "en",
            history_length=5,
            description_characters=9,
            step_details=True,
            history_texts=True,
            fill=InPlace(shard_count),
            rebuild=True,
        )
    return {
        table.name: warehouse.read(f"from {table.full_name} order by {key}").drop(
            columns="computed_at", errors="ignore"
        )
        for table, key in TABLES.items()
    }


@pytest.mark.parametrize("k_core", [0, 3])
def test_three_shards_make_the_tables_of_one(tmp_path, k_core):
    warehouse = Warehouse(path=str(tmp_path / "warehouse.duckdb"))
    with warehouse.connect() as connection:
        write_log(connection)
    whole, parts = build(warehouse, 1, k_core), build(warehouse, 3, k_core)
    for name, table in whole.items():
        assert len(table), name
        pd.testing.assert_frame_equal(parts[name], table, check_exact=True, obj=name)
    clean = whole["clean_events"]
    assert clean["is_bot"].any()
    assert clean["is_outlier"].any()
    assert len(set(whole["removed_events"]["reason"])) == (3 if k_core else 2)
    rare = clean[clean["item_id"].str.startswith("rare ")].groupby("item_id")["user_id"]
    assert rare.nunique().min() == (3 if k_core else 2)
    assert rare.agg(lambda users: len({shard_of(user, 3) for user in users})).max() == 2


def test_a_shard_holds_the_users_that_their_md5_says():
    assert {shard_of(user, 3) for user in USERS} == {0, 2}
    connection = duckdb.connect()
    connection.register("users", pd.DataFrame({"user_id": ["", "é", *USERS]}))
    for shard in (Shard(), *shards(3)):
        found = connection.execute(f"from users where {BELONGS}", shard.parameters).fetchall()
        assert {user for (user,) in found} == {
            user for user in ("", "é", *USERS) if shard_of(user, shard.count) == shard.index
        }
