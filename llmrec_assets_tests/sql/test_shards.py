"""How users are divided."""

import hashlib

import duckdb
import pyarrow as pa
import pytest

from llmrec_assets.sql.shards import USER_HASH, InPlace, Shard, ShardedRows
from llmrec_assets.sql.tables import append


def test_a_user_is_hashed_by_the_last_8_bytes_of_the_md5() -> None:
    users = ["", "abc", "mañana", *map(str, range(1000))]
    with duckdb.connect() as connection:
        query = f"select {USER_HASH} from (select unnest(?) as user_id)"
        found = [half for (half,) in connection.execute(query, [users]).fetchall()]
    digests = [hashlib.md5(user.encode(), usedforsecurity=False).digest() for user in users]
    assert found == [int.from_bytes(digest[8:], "little") for digest in digests]


def test_rows_that_were_added_are_let_go_before_the_transaction_ends() -> None:
    rows = {"n": pa.array(range(1_000_000), pa.int64())}
    with duckdb.connect() as connection:
        connection.execute("set memory_limit = '100MB'")
        connection.execute("create table numbers (n bigint); begin")
        before = pa.total_allocated_bytes()
        for _ in range(3):
            append(connection, "numbers", pa.table(rows))
        del rows
        assert pa.total_allocated_bytes() < before
        assert connection.sql("select count(*), sum(n) from numbers").fetchall() == [
            (3_000_000, 3 * 999_999 * 500_000)
        ]


def counted(connection, parameters):
    """A shard's rows, some at a time, with the columns in another order than the target's."""
    for part in range(parameters["parts"]):
        columns = {"shard": [parameters["shard_index"]] * part, "part": [part] * part}
        yield pa.table(columns, pa.schema({"shard": pa.int64(), "part": pa.int64()}))


def test_rows_come_in_place_and_as_a_file_alike(tmp_path) -> None:
    work = ShardedRows("found", counted, {"parts": 3}, {})
    with duckdb.connect() as connection:
        connection.execute("create table found (part bigint, shard bigint)")
        InPlace(2)(connection, work)
        assert connection.sql("from found order by all").fetchall() == [
            (1, 0), (1, 1), (2, 0), (2, 0), (2, 1), (2, 1),
        ]  # fmt: skip
        for shard in (0, 1):
            file = str(tmp_path / f"{shard}.parquet")
            work.write(connection, {**work.parameters, **Shard(shard, 2).parameters}, file)
            written = connection.sql("select part, shard from read_parquet(?)", params=[file])
            assert written.order("all").fetchall() == [(1, shard), (2, shard), (2, shard)]


@pytest.mark.parametrize("missing", ["part", "shard"])
def test_a_column_that_is_missing_is_named(missing) -> None:
    rows = pa.table({name: [1] for name in ("part", "shard") if name != missing})
    with duckdb.connect() as connection:
        connection.execute("create table found (part bigint, shard bigint)")
        with pytest.raises(KeyError, match=missing):
            append(connection, "found", rows)
