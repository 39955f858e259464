"""Files of items that were taken back: the catalogue is as if the file had never come.

`raw_items` keeps the newest delivery of each item only, so the other files are read again for the
items of the one that goes, in the order in which they came.
"""

from pathlib import Path

import duckdb

from llmrec_assets.sql import s1_claims
from llmrec_assets.sql.landing_files import unstage
from llmrec_assets.sql.s1_batches import STANDING, begin_retraction, end_retraction
from llmrec_assets.sql.s1_files import Arrival, last_seq
from llmrec_assets.sql.s1_raw_items import add_items, stage_items, type_items
from llmrec_assets.sql.s1_tables import FILES, RAW_ITEMS, REJECTED_EVENTS

_TOUCHED, _WITH, _WITHOUT = "touched_items", "items_with", "items_without"
_COUNTS = "counted_rows"  # of a fold: file_hash and line of its rows that changed something


def retract(
    connection: duckdb.DuckDBPyConnection,
    content_hash: str,
    landed: dict[str, Path],
    because: str = "",
) -> tuple[int, int]:
    """Take one file of items back; inside a transaction of the caller's.

    Where the file itself is no longer there, only items whose newest delivery it is are known.

    Args:
        connection: of the warehouse.
        content_hash: of a file of items that came in.
        landed: content hash of each file of items in the landing zone, and where it is.
        because: why, for the record.

    Returns:
        How many items of the catalogue it had described, and how many of them are there again.
    """
    files = _arrivals(connection, landed)
    _touch(connection, content_hash, landed)
    _fold(connection, files, _WITH)
    s1_claims.disown_mended_rows(connection, "items", content_hash, f"{_WITH}_{_COUNTS}")
    s1_claims.forget_claims(connection, "items", content_hash)
    begin_retraction(connection, "items", content_hash, because)
    _fold(connection, [file for file in files if file.content_hash != content_hash], _WITHOUT)
    _recount(connection, content_hash)
    first_seq, rows, restored = _replace(connection, content_hash)
    connection.execute(
        f"delete from {REJECTED_EVENTS.full_name} where kind = 'items' and file_hash = ?",
        [content_hash],
    )
    for table in (_TOUCHED, _WITH, _WITHOUT, f"{_WITH}_{_COUNTS}", f"{_WITHOUT}_{_COUNTS}"):
        connection.execute(f"drop table {table}")
    end_retraction(connection, "items", content_hash, first_seq, rows, restored)
    return rows, restored


def not_landed(
    connection: duckdb.DuckDBPyConnection, content_hash: str, landed: dict[str, Path]
) -> list[str]:
    """Names of other files of items that came in and are no longer there to be read again."""
    rows = connection.execute(
        f"""select name from {STANDING} where kind = 'items' and content_hash <> ? and rows > 0
            and not list_contains(?::varchar[], content_hash) order by all""",
        [content_hash, list(landed)],
    ).fetchall()
    return [name for (name,) in rows]


def _arrivals(connection: duckdb.DuckDBPyConnection, landed: dict[str, Path]) -> list[Arrival]:
    """The files as they came in, where they are still landed."""
    known = connection.execute(
        f"""select content_hash, name, ingested_at from {FILES.full_name}
        where kind = 'items' and rows > 0
            and (kind, content_hash) in (select (kind, content_hash) from {STANDING})
        order by ingested_at, rowid"""
    ).fetchall()
    return [Arrival("items", landed[h], name, h, at) for h, name, at in known if h in landed]


def _touch(
    connection: duckdb.DuckDBPyConnection, content_hash: str, landed: dict[str, Path]
) -> None:
    """The items that may be others without the file, mended rows of it included.

    An item whose newest delivery is of a file that is no longer there stays as it is.
    """
    connection.execute(
        f"""create or replace temp table {_TOUCHED} as
        select item_id from {RAW_ITEMS.full_name} where file_hash = ?""",
        [content_hash],
    )
    for file_hash in (content_hash, *s1_claims.files_that_mend(connection, "items", content_hash)):
        if file_hash not in landed or not _is_readable(connection, file_hash):
            continue
        staged = stage_items(connection, landed[file_hash])
        connection.execute(
            f"""insert into {_TOUCHED} select distinct item_id from {staged.view}
            where item_id not in (select item_id from {_TOUCHED})"""
        )
        unstage(connection, staged)
    connection.execute(
        f"""delete from {_TOUCHED} where item_id in (select item_id from {RAW_ITEMS.full_name}
            where file_hash <> ? and not list_contains(?::varchar[], file_hash))""",
        [content_hash, list(landed)],
    )


def _is_readable(connection: duckdb.DuckDBPyConnection, content_hash: str) -> bool:
    query = (
        f"select 1 from {FILES.full_name} where kind = 'items' and content_hash = ? and rows > 0"
    )
    return bool(connection.execute(query, [content_hash]).fetchall())


def _fold(connection: duckdb.DuckDBPyConnection, files: list[Arrival], table: str) -> None:
    """Make `table` what the files, one after the other, say of the touched items.

    Rows are numbered after all that were ever numbered. `table` with the ending of `_COUNTS` has
    the rows that changed something.
    """
    connection.execute(f"create or replace temp table {table} ({RAW_ITEMS.ddl})")
    counts = f"{table}_{_COUNTS}"
    connection.execute(f"create or replace temp table {counts} (file_hash varchar, line bigint)")
    after = last_seq(connection, "items")
    for arrival in files:
        staged = stage_items(connection, arrival.path)
        type_items(connection, staged, arrival, table)
        connection.execute(
            f"delete from typed where coalesce(item_id, '') not in (from {_TOUCHED})"
        )
        add_items(connection, arrival, table, after)
        (added,), *_ = connection.execute(
            f"insert into {counts} select ?, line from typed where changes",
            [arrival.content_hash],
        ).fetchall()
        after += added
        connection.execute("drop table typed; drop table referred")
        unstage(connection, staged)


def _recount(connection: duckdb.DuckDBPyConnection, content_hash: str) -> None:
    """Rows of other files that now change something, or no longer do, in the ledger."""
    connection.execute(
        f"""update {FILES.full_name} as f set accepted = accepted + more,
            duplicates = duplicates - more
        from (select file_hash, sum(n)::bigint as more from (
                select file_hash, 1 as n from {_WITHOUT}_{_COUNTS}
                union all select file_hash, -1 from {_WITH}_{_COUNTS}
                where (file_hash, line) not in (
                    select (r.file_hash, r.line) from {REJECTED_EVENTS.full_name} r
                    where r.kind = 'items' and r.line is not null))
            group by all) as change
        where f.kind = 'items' and f.content_hash = file_hash and file_hash <> ?""",
        [content_hash],
    )


def _replace(
    connection: duckdb.DuckDBPyConnection, content_hash: str
) -> tuple[int | None, int, int]:
    """Let the touched items be as they are without the file.

    Items that come out as they were keep their numbers.

    Returns:
        The lowest number of an item that was the file's, how many there were, and how many of them
        are there again.
    """
    first_seq, rows, restored = connection.execute(
        f"""select min(seq), count(*), count(*) filter (item_id in (select item_id from {_WITHOUT}))
        from {RAW_ITEMS.full_name} where file_hash = ?""",
        [content_hash],
    ).fetchall()[0]
    same = f"""select item_id from (select * exclude (seq) from {RAW_ITEMS.full_name}
        intersect select * exclude (seq) from {_WITHOUT})"""
    connection.execute(f"delete from {_TOUCHED} where item_id in ({same})")
    connection.execute(
        f"delete from {RAW_ITEMS.full_name} where item_id in (select item_id from {_TOUCHED})"
    )
    connection.execute(
        f"""insert or replace into {RAW_ITEMS.full_name} by name from {_WITHOUT}
        where item_id in (select item_id from {_TOUCHED}) order by seq"""
    )
    return first_seq, rows, restored
