"""The fingerprint of raw_events is right whatever happened, and read where something did."""

import duckdb
import pytest

from llmrec_assets.sql.fingerprints import MODULUS, Fingerprint, fingerprint
from llmrec_assets.sql.s1_fingerprint import EVENT_BLOCKS, fingerprint_of_events
from llmrec_assets.sql.s1_tables import RAW_EVENTS

EVENTS = RAW_EVENTS.full_name
ROWS = """
select n as seq, 'e' || n as event_id, 'u' || n % 7 as user_id, 'i' || n % 5 as item_id, n as step,
    'buy' as behavior, false as own_event_id, 'f' as file_hash, n as line,
    now()::timestamp as ingested_at
from range({}, {}) as numbers(n)
"""
CHANGES = {
    "events came": f"insert into {EVENTS} by name ({ROWS.format(12_000, 12_100)})",
    "a block came": f"insert into {EVENTS} by name ({ROWS.format(20_000, 20_001)})",
    "one went": f"delete from {EVENTS} where seq = 5000",
    "a block went": f"delete from {EVENTS} where seq >> 12 = 1",
    "one took the place of another": f"update {EVENTS} set seq = 13000 where seq = 5000",
    "a cause was learnt": f"update {EVENTS} set caused_by = 'l' where seq = 5000",
    "a text came": f"update {EVENTS} set text = 'x' where seq = 5000",
    "a file has another content": f"update {EVENTS} set file_hash = 'g'",
    "two exchanged their lines": f"update {EVENTS} set line = 17 - line where line in (8, 9)",
    "all went": f"delete from {EVENTS}",
    "nothing": "select 1",
}


@pytest.fixture
def connection():
    """Three blocks of events, whose fingerprint was told."""
    connection = duckdb.connect()
    RAW_EVENTS.create(connection)
    connection.execute(f"insert into {EVENTS} by name ({ROWS.format(1, 12_000)})")
    assert fingerprint_of_events(connection) == fingerprint(connection, RAW_EVENTS)
    return connection


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_it_is_that_of_the_table_whatever_changed(connection, change):
    connection.execute(change)
    found = fingerprint_of_events(connection)
    assert found == fingerprint(connection, RAW_EVENTS)
    assert fingerprint_of_events(connection) == found


def test_it_is_none_of_the_clock(connection):
    before = fingerprint_of_events(connection)
    connection.execute(f"update {EVENTS} set ingested_at = ingested_at + to_days(1)")
    assert fingerprint_of_events(connection) == before


def test_only_blocks_that_differ_are_read(connection):
    connection.execute(f"update {EVENT_BLOCKS.full_name} set total = 0 where block in (0, 1)")
    connection.execute(CHANGES["a cause was learnt"])
    whole = fingerprint(connection, RAW_EVENTS)
    left_out = fingerprint(connection, RAW_EVENTS, "seq >> 12 = 0")
    found = fingerprint_of_events(connection)
    assert found == Fingerprint(whole.rows, (whole.total - left_out.total) % MODULUS)


def test_a_store_without_events_has_one():
    connection = duckdb.connect()
    RAW_EVENTS.create(connection)
    assert fingerprint_of_events(connection) == Fingerprint(0, 0)
