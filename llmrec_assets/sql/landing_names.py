"""Pseudonyms in place of ids while a landing file is read.

Whoever opened the connection says whether there are pseudonyms, by the functions that it has:
`llmrec_pseudonym(id)` and `llmrec_remember(pseudonym, id)`. Each id of a file is hashed once.
"""

import duckdb

_MAPS = "select 1 from duckdb_functions() where function_name = 'llmrec_pseudonym' limit 1"

GOOD = "select user_id from judged where reason is null"


def has_pseudonyms(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether tables of this connection know users by pseudonyms."""
    return bool(connection.execute(_MAPS).fetchall())


def pseudonym(connection: duckdb.DuckDBPyConnection, column: str) -> str:
    """The expression of what tables know the id in `column` by."""
    return f"llmrec_pseudonym({column})" if has_pseudonyms(connection) else column


def rename(cursor: duckdb.DuckDBPyConnection, database: str) -> str:
    """Make the view of the staged rows by pseudonyms; its name.

    What could not be read may hold an id anywhere: of that only line and reason stay. The text
    is empty, not null, as of what was forgotten: the row is still to be mended.
    """
    cursor.execute(
        f"""create table {database}.people as
        select user_id, llmrec_pseudonym(user_id) as pseudonym from (
            select distinct user_id from {database}.rows_read where user_id is not null)"""
    )
    cursor.execute(
        f"""create view {database}.rows_named as
        select r.* replace (pseudonym as user_id, case when pseudonym is null then raw
            else json_merge_patch(raw, json_object('user_id', pseudonym))::varchar end as raw)
        from {database}.rows_read r left join {database}.people using (user_id)"""
    )
    cursor.execute(f"update {database}.rejects set row = ''")
    return "rows_named"


def remember(connection: duckdb.DuckDBPyConnection, people: str | None, users: str) -> None:
    """Keep who the pseudonyms of a staged file stand for.

    Args:
        connection: that the file was staged by.
        people: `StagedFile.people`; None where it has no pseudonyms.
        users: a query of the pseudonyms that are kept.
    """
    if people is not None:
        connection.execute(
            f"""select count(llmrec_remember(pseudonym, user_id)) from {people}
            where pseudonym <> user_id and pseudonym in ({users})"""
        ).fetchall()
