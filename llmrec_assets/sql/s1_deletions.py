"""The one way by which events leave the store: erased persons, old rows and batches taken back."""

from collections.abc import Sequence

import duckdb

from llmrec_assets.sql.s1_tables import RAW_EVENTS


def delete_events(
    connection: duckdb.DuckDBPyConnection, condition: str, parameters: Sequence[object] = ()
) -> int:
    """Delete the raw events that a condition, a constant of the code, names; how many.

    Ingestion sequence numbers are never given again: the ledger of files counts what came in.
    """
    gone = connection.execute(
        f"delete from {RAW_EVENTS.full_name} where {condition}", list(parameters)
    )
    return gone.fetchall()[0][0]
