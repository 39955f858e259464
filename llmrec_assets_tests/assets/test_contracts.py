"""The contracts of events and items: what ingestion lets in keeps them; breaches are found."""

import dagster as dg
import duckdb
import pytest

from llmrec_assets.assets import contracts, s1_raw_events
from llmrec_assets.sql.contracts import breaches
from llmrec_assets.sql.table_contracts import (
    CLEAN_EVENTS_CONTRACT,
    RAW_EVENTS_CONTRACT,
    RAW_ITEMS_CONTRACT,
)
from llmrec_assets_tests.assets.raw_store import HEADER, RawStore

ALL = (RAW_EVENTS_CONTRACT, RAW_ITEMS_CONTRACT, CLEAN_EVENTS_CONTRACT)


@pytest.fixture
def store(tmp_path):
    store = RawStore(tmp_path)
    store.put("a.csv", HEADER + f"u1,{'中' * 256},1,Browse\nu2,i1,2,buy\nu3,i2,3,buy\n")
    store.put("a.csv", "item_id,price,colour\ni1,5,red\ni2,0,\ni3,-1,\n", "items")
    store.run()
    return store


def check(store, function):
    """What a check says of the store as it is."""
    result = dg.materialize(
        [s1_raw_events.raw_events, s1_raw_events.raw_items, function],
        resources={"warehouse": store.warehouse, "landing": store.landing},
        raise_on_error=False,
    )
    (said,) = result.get_asset_check_evaluations()
    return said


def change(store, statement):
    with store.warehouse.connect() as connection:
        connection.execute(statement)


def test_what_ingestion_lets_in_keeps_its_contract(store):
    said = check(store, contracts.raw_events_keep_their_contract)
    assert said.passed
    assert said.blocking
    assert said.metadata["rows"].value == 3
    assert store.rejections() == [("a.csv", 4, "price is below 0")]
    assert check(store, contracts.raw_items_keep_their_contract).passed


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("step = null", "exactly one of timestamp and step is there (1 rows break it)"),
        ("timestamp = '2024-01-01'", "exactly one of timestamp and step is there"),
        ("step = -1", "step is not below 0"),
        ("behavior = ''", "behavior is not empty"),
        ("behavior = null", "behavior is there"),
        ("user_id = ''", "user_id has 1 to 256 characters"),
        ("item_id = repeat('中', 257)", "item_id has 1 to 256 characters"),
        ("rating = 'nan'", "rating is a number"),
        ("value = 'inf'", "value is a number"),
        ("context = '{'", "context is JSON"),
        ("file_hash = 'none'", "file_hash is of a file that came in"),
        ("seq = 1", "seq is unique (1 rows break it)"),
    ],
)
def test_events_that_break_it_are_counted_and_shown_without_users(store, statement, rule):
    change(store, f"update s1_raw_events.raw_events set {statement} where seq = 2")
    said = check(store, contracts.raw_events_keep_their_contract)
    assert not said.passed
    assert said.description.startswith(rule)
    assert rule.split(" (")[0] in said.metadata["rules"].value
    assert "u2" not in str(said)
    assert ("| 2 |" in said.metadata["samples"].value) == ("unique" not in rule)


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        ("price = -1", "price is a number from 0"),
        ("attributes = '[]'", "attributes is a JSON object"),
    ],
)
def test_items_that_break_it_are_counted_and_shown(store, statement, rule):
    change(store, f"update s1_raw_events.raw_items set {statement} where item_id = 'i1'")
    said = check(store, contracts.raw_items_keep_their_contract)
    assert not said.passed
    assert said.description.startswith(rule)
    assert "i1" in said.metadata["samples"].value


@pytest.mark.parametrize("contract", ALL, ids=lambda contract: contract.table.name)
def test_a_column_of_another_type_is_named(contract):
    connection = duckdb.connect()
    table, column = contract.table, contract.table.columns[0]
    connection.execute(f"create schema {table.schema}; create table whole ({table.ddl})")
    connection.execute(
        f"create table {table.full_name} as select * exclude ({column.name}) from whole"
    )
    expected = f"{column.name} is of type {column.type}, not missing (1 rows break it)"
    assert breaches(connection, contract).broken == [expected]


def test_clean_events_that_break_it_are_found():
    connection = duckdb.connect()
    table = CLEAN_EVENTS_CONTRACT.table
    table.create(connection)
    table.insert(
        connection,
        """select 1 as seq, 'e' as event_id, 'u' as user_id, 'i' as item_id, 1 as time,
            'buy' as behavior, true as positive, 1 as weight, false as is_bot,
            false as is_outlier, 'train' as split""",
    )
    assert breaches(connection, CLEAN_EVENTS_CONTRACT).broken == []
    connection.execute(
        f"""update {table.full_name} set split = 'later', is_bot = true, weight = -1,
            timestamp = '2024-01-01'"""
    )
    found = [text.split(" (")[0] for text in breaches(connection, CLEAN_EVENTS_CONTRACT).broken]
    assert sorted(found) == [
        "no event of a bot is a target",
        "split is train, validation or test",
        "time is that of timestamp",
        "weight is a number from 0 to 1e15",
    ]
