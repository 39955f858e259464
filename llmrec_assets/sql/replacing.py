"""How an increment puts rows into a table that were made anew: it writes those that differ.

Who has done something new has mostly the rows that were there before. So the outdated rows are read
once, and compared with the new ones by key and hash. The fingerprint follows by hashes of its own,
which leave out the last digits of floats.
"""

import duckdb

from llmrec_assets.sql.fingerprints import Fingerprint, Followed, row_hash
from llmrec_assets.sql.tables import Table

MADE = "made"  # the rows made anew, in the columns of the table


def _hashes(table: Table) -> str:
    """`content`, as in fingerprints, and `exact`: rows that differ in any digit differ there."""
    columns = ", ".join(column.name for column in table.columns if not column.clock)
    return f"{row_hash(table)} as content, hash({columns}) as exact"


def make(connection: duckdb.DuckDBPyConnection, table: Table, query: str = "") -> None:
    """Make `made` anew with the rows of a query, or without rows."""
    connection.execute(f"create or replace temp table {MADE} as from {table.full_name} limit 0")
    if query:
        connection.execute(f"insert into {MADE} by name ({query})")


def find_outdated(
    connection: duckdb.DuckDBPyConnection, table: Table, condition: str, columns: str
) -> None:
    """Make `outdated` anew: the rows in whose place those of `made` are to be.

    Of these it has the given columns, among them a key; `place`, the rowid; and the hashes.
    """
    connection.execute(
        f"""create or replace temp table outdated as
        select rowid as place, {columns}, {_hashes(table)} from {table.full_name}
        where {condition}"""
    )


def put(content: Followed, key: str) -> None:
    """Let the rows of `made` be in place of those of `outdated`.

    The keys of the rows that are new, or differ from what they were, are in `fresh` then.

    Args:
        content: the fingerprint of the table, which is known.
        key: a column that tells the rows apart.

    Raises:
        AssertionError: the fingerprint is not known, as before a whole build.
    """
    connection, table = content.connection, content.table
    connection.execute(
        f"""create or replace temp table hashed as
        select {key}, {_hashes(table)} from {MADE}"""
    )
    connection.execute(
        f"""create or replace temp table fresh as
        select {key}, content from hashed anti join outdated using ({key}, exact)"""
    )
    stale = f"outdated anti join hashed using ({key}, exact)"
    connection.execute(f"delete from {table.full_name} where rowid in (select place from {stale})")
    table.insert(connection, f"from {MADE} where {key} in (select {key} from fresh)")
    content.replace(_sum(connection, stale), _sum(connection, "fresh"))
    connection.execute("drop table hashed")


def _sum(connection: duckdb.DuckDBPyConnection, rows: str) -> Fingerprint:
    query = f"select count(*), coalesce(sum(content), 0) from {rows}"
    return Fingerprint.of(*connection.execute(query).fetchall()[0])
