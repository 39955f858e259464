"""The function by which SQL scrubs free text of what names a person."""

import duckdb
import pyarrow as pa

from llmrec_assets.core import scrubbing
from llmrec_assets.settings import checked, setting


def register(connection: duckdb.DuckDBPyConnection) -> None:
    """Let SQL call `llmrec_scrub(text)`, unless LLMREC_SCRUB_TEXT is false.

    Raises:
        SettingError: LLMREC_SCRUB_TEXT or LLMREC_SCRUB_REGIONS holds what it does not take.
    """
    if not setting("SCRUB_TEXT", True):
        return
    named = checked("SCRUB_REGIONS", scrubbing.REGIONS, _known)
    regions = tuple(named.split(",")) if named else ()

    def scrub(texts: pa.ChunkedArray) -> pa.Array:
        return pa.array(scrubbing.scrub_all(texts.to_pylist(), regions), pa.string())

    connection.create_function("llmrec_scrub", scrub, ["VARCHAR"], "VARCHAR", type="arrow")  # pyright: ignore


def _known(regions: str) -> str:
    if regions == scrubbing.REGIONS:  # the library of numbers is loaded where it is needed
        return regions
    return ",".join(scrubbing.regions_of(regions))
