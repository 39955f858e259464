"""A fingerprint is that of the content: not of the order, the clock or the engine."""

import importlib
import math
import pkgutil
from datetime import datetime
from functools import lru_cache

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrec_assets import sql
from llmrec_assets.sql.fingerprints import Fingerprint, fingerprint, row_hash
from llmrec_assets.sql.tables import Column, Table

TABLE = Table(
    "trial",
    "things",
    (
        Column("id", "bigint", "Which."),
        Column("name", "varchar", "What."),
        Column("size", "double", "How much."),
        Column("good", "boolean", "Whether."),
        Column("tags", "varchar[]", "Words."),
        Column("day", "timestamp", "When."),
        Column("made_at", "timestamp", "By the clock.", clock=True),
    ),
)
DECLARED = {
    table.full_name: table
    for module in pkgutil.iter_modules(sql.__path__)
    for table in vars(importlib.import_module(f"{sql.__name__}.{module.name}")).values()
    if isinstance(table, Table)
}
# DuckDB takes no zero byte in a text; a day is exact in microseconds.
TEXTS = st.text(alphabet=st.characters(exclude_characters="\0", codec="utf-8"), max_size=4)
ROWS = st.lists(
    st.tuples(
        st.integers(-5, 5) | st.none(),
        TEXTS | st.sampled_from(["1,a", ",", "-"]) | st.none(),
        st.sampled_from([0.5, 1e300, -1e-9, math.inf]) | st.none(),
        st.booleans() | st.none(),
        st.lists(TEXTS | st.none(), max_size=3) | st.none(),
        st.sampled_from([datetime(1990, 1, 1), datetime(2024, 5, 6, 7, 8, 9, 10)]) | st.none(),
    ),
    max_size=6,
)


@lru_cache(1)
def database():
    return duckdb.connect()


def stored(rows):
    connection = database()
    TABLE.clear(connection)
    for row in rows:
        connection.execute(
            f"insert into {TABLE.full_name} values (?, ?, ?, ?, ?, ?, now()::timestamp)", list(row)
        )
    return connection


def of(rows):
    return fingerprint(stored(rows), TABLE)


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, seed=st.randoms())
def test_it_is_the_same_in_any_order(rows, seed):
    assert of(rows).rows == len(rows)
    shuffled = rows.copy()
    seed.shuffle(shuffled)
    assert of(shuffled) == of(rows)


def test_what_two_rows_exchange_counts():
    """Also in the last column, which the first of two hashes would not tell."""
    days = [datetime(2024, 1, 1), datetime(2024, 1, 2)]
    rows = [(n, "a", 0.5, True, [], day) for n, day in enumerate(days)]
    turned = [(n, "a", 0.5, True, [], day) for n, day in enumerate(reversed(days))]
    assert of(rows) != of(turned)


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, others=ROWS)
def test_equal_rows_and_no_others_have_it(rows, others):
    equal = sorted(map(repr, rows)) == sorted(map(repr, others))
    assert (of(rows) == of(others)) == equal


@settings(max_examples=30, deadline=None)
@given(rows=ROWS, gone=st.integers(-5, 5), others=ROWS)
def test_it_follows_a_change_of_rows(rows, gone, others):
    connection = stored(rows)
    before = fingerprint(connection, TABLE)
    leaving = fingerprint(connection, TABLE, "id = ?", [gone])
    kept = [row for row in rows if row[0] != gone]
    assert of(kept) == before - leaving
    assert of(kept + others) == before - leaving + of(others)


def test_the_last_digits_of_a_float_and_its_signs_of_nothing_do_not_count():
    row = (1, "a", 0.1 + 0.2, True, ["b"], None)
    assert of([row]) == of([(1, "a", 0.3, True, ["b"], None)])
    assert of([row]) != of([(1, "a", 0.3000001, True, ["b"], None)])
    zeros, nans = ([(1, "a", x, True, [], None)] for x in (0.0, math.nan))
    assert of(zeros) == of([(1, "a", -0.0, True, [], None)])
    assert of(nans) == of([(1, "a", -math.nan, True, [], None)]) != of(zeros)


def test_it_reads_as_rows_and_sum():
    assert str(Fingerprint(12, 195)) == "12-00000000000000c3"
    assert of([]) == Fingerprint(0, 0)


@pytest.mark.parametrize("table", DECLARED.values(), ids=DECLARED)
def test_every_table_has_one(table):
    connection = duckdb.connect()
    table.create(connection)
    assert fingerprint(connection, table) == Fingerprint(0, 0)


def test_an_unknown_type_is_refused():
    odd = Table("trial", "odd", (Column("x", "struct(a integer)", "A pair."),))
    with pytest.raises(ValueError, match=r"column x: .* struct\(a integer\)"):
        row_hash(odd)
