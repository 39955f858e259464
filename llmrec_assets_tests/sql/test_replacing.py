"""An increment writes rows that differ, and no others; the fingerprint follows."""

import duckdb
import pytest

from llmrec_assets.sql import replacing
from llmrec_assets.sql.fingerprints import Followed, fingerprint
from llmrec_assets.sql.tables import Column, Table

TABLE = Table(
    "trial",
    "things",
    (Column("seq", "bigint", "Which."), Column("size", "double", "How much.")),
)
KNOWN = [(1, 0.5), (2, None), (3, 0.25), (4, 9.0), (5, 1.0)]


@pytest.fixture
def content():
    connection = duckdb.connect()
    TABLE.clear(connection)
    connection.executemany(f"insert into {TABLE.full_name} values (?, ?)", KNOWN)
    return Followed(connection, TABLE, fingerprint(connection, TABLE))


def put(content, made, outdated):
    rows = ", ".join(str(row) for row in made).replace("None", "null::double")
    replacing.make(content.connection, TABLE, f"from (values {rows}) as rows(seq, size)")
    replacing.find_outdated(content.connection, TABLE, outdated, "seq")
    replacing.put(content, "seq")
    found = content.connection.execute(f"from {TABLE.full_name} order by seq").fetchall()
    fresh = content.connection.execute("select seq from fresh order by seq").fetchall()
    return found, [seq for (seq,) in fresh]


def test_rows_go_come_change_and_stay(content):
    place = f"select seq, rowid from {TABLE.full_name} where seq in (1, 2, 5) order by seq"
    before = content.connection.execute(place).fetchall()
    found, fresh = put(content, [(1, 0.5), (2, None), (3, 0.75), (6, None)], "seq < 5")
    assert found == [(1, 0.5), (2, None), (3, 0.75), (5, 1.0), (6, None)]
    assert fresh == [3, 6]
    assert content.connection.execute(place).fetchall() == before, "what stays is not written"
    assert content.of_all() == fingerprint(content.connection, TABLE)


def test_a_last_digit_counts_even_where_the_fingerprint_leaves_it_out(content):
    known, more = content.known, 0.25 + 2**-40
    found, fresh = put(content, [(3, more)], "seq = 3")
    assert fresh == [3]
    assert (3, more) in found
    assert content.known == known == fingerprint(content.connection, TABLE)


def test_nothing_is_written_of_what_is_the_same(content):
    known = content.known
    assert put(content, KNOWN, "true") == (KNOWN, [])
    assert content.known == known


def test_all_may_go(content):
    replacing.make(content.connection, TABLE)
    replacing.find_outdated(content.connection, TABLE, "true", "seq")
    replacing.put(content, "seq")
    assert content.of_all() == fingerprint(content.connection, TABLE)
    assert content.of_all().rows == 0
