"""Free text without what names a person, where the connection has the function for it."""

import duckdb

from llmrec_assets.core.scrubbing import SUSPECT

_CAN = "select 1 from duckdb_functions() where function_name = 'llmrec_scrub' limit 1"


def scrubbed(connection: duckdb.DuckDBPyConnection, column: str) -> str:
    """The expression of the text in `column`; few texts are suspect, so few leave SQL."""
    if not connection.execute(_CAN).fetchall():
        return column
    return (
        f"case when regexp_matches({column}, '{SUSPECT}') then llmrec_scrub({column})"
        f" else {column} end"
    )
