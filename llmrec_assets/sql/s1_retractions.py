"""Batches of events that were taken back: the store is as if the file had never come.

The file stays in the ledger, so that its content never comes in again, whatever its name.
"""

from pathlib import Path

import duckdb

from llmrec_assets.sql.s1_deletions import delete_events
from llmrec_assets.sql.s1_files import Arrival, create_tables, reject_rows
from llmrec_assets.sql.s1_raw_events import event_ids, retake_events
from llmrec_assets.sql.s1_tables import (
    FILES,
    RAW_EVENTS,
    REJECTED_EVENTS,
    RETRACTIONS,
    RETURNED_FILE,
)
from llmrec_assets.sql.s5_model import TEMPORAL_MODEL

_LOST, _TOLD = "lost_events", "told_events"


class UnknownFile(Exception):
    """No such batch is in the store; the message says which are."""


def find_file(connection: duckdb.DuckDBPyConnection, named: str) -> tuple[str, str]:
    """(content hash, name) of the events file of this name or this beginning of its hash.

    Raises:
        UnknownFile: there is none, or there are several.
    """
    create_tables(connection)
    found = connection.execute(
        f"""select content_hash, name from {FILES.full_name} where kind = 'events'
            and (name = $named or length($named) >= 8 and starts_with(content_hash, $named))
            and content_hash not in (select content_hash from {RETRACTIONS.full_name})
        order by ingested_at, name""",
        {"named": named},
    ).fetchall()
    if len(found) == 1:
        return found[0]
    if found:
        several = "\n".join(f"  {content_hash}" for content_hash, _ in found)
        raise UnknownFile(f"{named!r} came in more than once; name one of these:\n{several}")
    newest = connection.execute(
        f"""select name from {FILES.full_name} where kind = 'events'
            and content_hash not in (select content_hash from {RETRACTIONS.full_name})
        order by ingested_at desc, name limit 5"""
    ).fetchall()
    names = ", ".join(name for (name,) in newest) or "none"
    raise UnknownFile(f"no file of events {named!r} came in; the newest: {names}")


def retract(
    connection: duckdb.DuckDBPyConnection,
    content_hash: str,
    landed: dict[str, Path],
    because: str = "",
) -> tuple[int, int]:
    """Take one file back; inside a transaction of the caller's.

    What other files said of the same events comes in anew from the landing zone. Where the file
    itself is no longer there, what it told about events of other files, their `caused_by`, stays.

    Args:
        connection: of the warehouse.
        content_hash: of a file of events that came in.
        landed: content hash of each file of events in the landing zone, and where it is.
        because: why, for the record.

    Returns:
        How many events went, and how many of them are there again.
    """
    _collect(connection, content_hash, landed)
    (first_seq,), *_ = connection.execute(
        f"select min(seq) from {RAW_EVENTS.full_name} where file_hash = ?", [content_hash]
    ).fetchall()
    rows = delete_events(connection, f"event_id in (select event_id from {_LOST})")
    connection.execute(
        f"delete from {REJECTED_EVENTS.full_name} where kind = 'events' and file_hash = ?",
        [content_hash],
    )
    restored = sum(
        _retake(connection, arrival, before)
        for arrival, before in _others(connection, content_hash, landed)
    )
    connection.execute(f"drop table {_LOST}; drop table {_TOLD}")
    connection.execute(
        f"""insert into {RETRACTIONS.full_name}
        select content_hash, name, now()::timestamp, ?, ?, ?, ? from {FILES.full_name}
        where kind = 'events' and content_hash = ?""",
        [first_seq, rows, restored, because, content_hash],
    )
    return rows, restored


def _collect(
    connection: duckdb.DuckDBPyConnection, content_hash: str, landed: dict[str, Path]
) -> None:
    """The events that are the file's, and those of other files whose cause it may have told."""
    connection.execute(
        f"""create or replace temp table {_LOST} as
        select event_id from {RAW_EVENTS.full_name} where file_hash = ?""",
        [content_hash],
    )
    readable = connection.execute(
        f"select 1 from {FILES.full_name} where kind = 'events' and content_hash = ? and rows > 0",
        [content_hash],
    ).fetchall()
    if readable and content_hash in landed:
        event_ids(connection, landed[content_hash], _TOLD)
    else:
        connection.execute(f"create or replace temp table {_TOLD} as from {_LOST} limit 0")
    connection.execute(
        f"""delete from {_TOLD} where event_id not in (
            select event_id from {RAW_EVENTS.full_name}
            where file_hash <> ? and list_contains(?::varchar[], file_hash))""",
        [content_hash, list(landed)],
    )
    connection.execute(
        f"""update {RAW_EVENTS.full_name} set caused_by = null
        where event_id in (select event_id from {_TOLD})"""
    )


def _others(
    connection: duckdb.DuckDBPyConnection, content_hash: str, landed: dict[str, Path]
) -> list[tuple[Arrival, bool]]:
    """The other files as they came in, where they are still landed; whether they came before."""
    known = connection.execute(
        f"""select content_hash, name, ingested_at, content_hash = $own as own
        from {FILES.full_name} where kind = 'events' and (rows > 0 or content_hash = $own)
            and content_hash not in (select content_hash from {RETRACTIONS.full_name})
        order by ingested_at, rowid""",
        {"own": content_hash},
    ).fetchall()
    place = next(n for n, (*_, own) in enumerate(known) if own)
    return [
        (Arrival("events", landed[h], name, h, at), n < place)
        for n, (h, name, at, own) in enumerate(known)
        if h in landed and not own
    ]


def _retake(connection: duckdb.DuckDBPyConnection, arrival: Arrival, before: bool) -> int:
    """Take the lost events that a file has, and mend its rows of the ledger; how many they are.

    `before`: whether the file came in before the one that is taken back.
    """
    verdicts = retake_events(connection, arrival, _LOST, _TOLD)
    if not verdicts:
        return 0
    lines = [line for line, _, _ in verdicts]
    (refused_before,), *_ = connection.execute(
        f"""delete from {REJECTED_EVENTS.full_name} where kind = 'events' and file_hash = ?
            and list_contains(?::bigint[], line)""",
        [arrival.content_hash, lines],
    ).fetchall()
    refused = [row for row in verdicts if row[1] not in (None, "duplicate")]
    reject_rows(connection, arrival, refused)
    accepted = sum(verdict is None for _, verdict, _ in verdicts)
    # What feedback had returned was an event until the batch took its place.
    accepted_before = len(lines) - refused_before if before and arrival.is_returned else 0
    more = accepted - accepted_before
    connection.execute(
        f"""update {FILES.full_name} set accepted = accepted + $more,
            rejected = rejected + $refused, duplicates = duplicates - $more - $refused
        where kind = 'events' and content_hash = $hash""",
        {"more": more, "refused": len(refused) - refused_before, "hash": arrival.content_hash},
    )
    return accepted


def not_landed(
    connection: duckdb.DuckDBPyConnection, content_hash: str, landed: dict[str, Path]
) -> list[str]:
    """Names of other files that came in, may deliver the same events, and are no longer there."""
    rows = connection.execute(
        f"""select name from {FILES.full_name} where kind = 'events' and content_hash <> ?
            and content_hash not in (select content_hash from {RETRACTIONS.full_name})
            and (duplicates > 0 or rejected > 0 or name = format('{RETURNED_FILE}', content_hash))
            and not list_contains(?::varchar[], content_hash)
        order by all""",
        [content_hash, list(landed)],
    ).fetchall()
    return [name for (name,) in rows]


def versions_that_saw(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Model versions that were trained on events which were retracted since."""
    if not (RETRACTIONS.is_there(connection) and TEMPORAL_MODEL.is_there(connection)):
        return set()
    rows = connection.execute(
        f"""select distinct model_version from {TEMPORAL_MODEL.full_name}
        join {RETRACTIONS.full_name} on trained_through >= first_seq and trained_at < retracted_at
        where trained"""
    ).fetchall()
    return {version for (version,) in rows}
