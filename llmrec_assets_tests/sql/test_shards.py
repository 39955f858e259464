"""How users are divided."""

import hashlib

import duckdb

from llmrec_assets.sql.shards import USER_HASH


def test_a_user_is_hashed_by_the_last_8_bytes_of_the_md5() -> None:
    users = ["", "abc", "mañana", *map(str, range(1000))]
    with duckdb.connect() as connection:
        query = f"select {USER_HASH} from (select unnest(?) as user_id)"
        found = [half for (half,) in connection.execute(query, [users]).fetchall()]
    digests = [hashlib.md5(user.encode(), usedforsecurity=False).digest() for user in users]
    assert found == [int.from_bytes(digest[8:], "little") for digest in digests]
