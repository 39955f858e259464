"""How much memory DuckDB takes."""

import re

import duckdb

from llmrec_assets.settings import checked

_SIZE = re.compile(r"[1-9]\d*(\.\d+)? ?([KMGT]i?B|%)")


def memory_limit() -> str:
    """`LLMREC_DUCKDB_MEMORY`, such as 4GB; empty for DuckDB's own limit, most of the memory.

    Raises:
        SettingError: the variable is set to no size.
    """
    return checked("DUCKDB_MEMORY", "", _size)


def limit(connection: duckdb.DuckDBPyConnection) -> None:
    """Let a connection spill to disk what is more than the limit."""
    if size := memory_limit():
        connection.execute("set memory_limit = ?", [size])


def _size(text: str) -> str:
    if text and not _SIZE.fullmatch(text):
        raise ValueError("must be a size such as 4GB or 50%")
    return text
