"""Batches of events that were taken back: the store is as if the file had never come.

The file stays in the ledger, so that its content never comes in again, whatever its name.
"""

from pathlib import Path

import duckdb

from llmrec_assets.sql import s1_claims
from llmrec_assets.sql.s1_batches import STANDING, begin_retraction, end_retraction
from llmrec_assets.sql.s1_deletions import delete_events
from llmrec_assets.sql.s1_files import Arrival, reject_rows
from llmrec_assets.sql.s1_raw_events import add_event_ids, retake_events
from llmrec_assets.sql.s1_tables import (
    FILES,
    RAW_EVENTS,
    REJECTED_EVENTS,
    RETURNED_FILE,
)

_LOST, _TOLD, _AGAIN = "lost_events", "told_events", "events_again"
_OWNED = "owned_rows"  # file_hash and line of the rows that the lost events were


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
    begin_retraction(connection, "events", content_hash, because)
    _collect(connection, content_hash, landed)
    (first_seq,), *_ = connection.execute(
        f"""select min(seq) from {RAW_EVENTS.full_name}
        where event_id in (select event_id from {_LOST})"""
    ).fetchall()
    connection.execute(
        f"""create or replace temp table {_OWNED} as select file_hash, line
        from {RAW_EVENTS.full_name} where event_id in (select event_id from {_LOST})"""
    )
    s1_claims.disown_mended_rows(connection, "events", content_hash, RAW_EVENTS.full_name)
    rows = delete_events(connection, f"event_id in (select event_id from {_LOST})")
    connection.execute(
        f"delete from {REJECTED_EVENTS.full_name} where kind = 'events' and file_hash = ?",
        [content_hash],
    )
    restored = sum(
        _retake(connection, arrival, before)
        for arrival, before in _others(connection, content_hash, landed)
    )
    connection.execute(f"drop table {_LOST}; drop table {_TOLD}; drop table {_OWNED}")
    end_retraction(connection, "events", content_hash, first_seq, rows, restored)
    return rows, restored


def _collect(
    connection: duckdb.DuckDBPyConnection, content_hash: str, landed: dict[str, Path]
) -> None:
    """The events that are the file's, and those of other files whose cause it may have told.

    With the file's own go the events that repaired its rows. With its claims go the reasons why
    rows of other files, which repair the same, are none.
    """
    connection.execute(
        f"""create or replace temp table {_LOST} as
        select event_id from {RAW_EVENTS.full_name} where file_hash = ?""",
        [content_hash],
    )
    s1_claims.add_mended_rows(connection, content_hash, _LOST)
    _collect_refused(connection, content_hash, landed)
    s1_claims.forget_claims(connection, "events", content_hash)
    connection.execute(f"create or replace temp table {_TOLD} as from {_LOST} limit 0")
    readable = connection.execute(
        f"select 1 from {FILES.full_name} where kind = 'events' and content_hash = ? and rows > 0",
        [content_hash],
    ).fetchall()
    if readable and content_hash in landed:
        add_event_ids(connection, landed[content_hash], _TOLD)
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


def _collect_refused(
    connection: duckdb.DuckDBPyConnection, content_hash: str, landed: dict[str, Path]
) -> None:
    """Add the events of rows that are refused because this file repaired the same row before."""
    connection.execute(f"create or replace temp table {_AGAIN} as from {_LOST} limit 0")
    for file_hash, lines in s1_claims.refused_because_of(connection, content_hash).items():
        if file_hash in landed:
            add_event_ids(connection, landed[file_hash], _AGAIN, lines)
    connection.execute(  # all but what could not be read again
        f"""insert into {_LOST} select event_id from {_AGAIN}
        where event_id not in (select event_id from {_LOST})
            and event_id not in (select event_id from {RAW_EVENTS.full_name}
                where not list_contains(?::varchar[], file_hash))""",
        [list(landed)],
    )
    connection.execute(f"drop table {_AGAIN}")


def _others(
    connection: duckdb.DuckDBPyConnection, content_hash: str, landed: dict[str, Path]
) -> list[tuple[Arrival, bool]]:
    """The other files as they came in, where they are still landed; whether they came before."""
    known = connection.execute(
        f"""select content_hash, name, ingested_at, content_hash = $own as own
        from {FILES.full_name} as files where kind = 'events' and (content_hash = $own
            or rows > 0 and (kind, content_hash) in (select (kind, content_hash) from {STANDING}))
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
    (owned,), *_ = connection.execute(
        f"select count(*) from {_OWNED} where file_hash = ? and list_contains(?::bigint[], line)",
        [arrival.content_hash, lines],
    ).fetchall()
    refused = [row for row in verdicts if row[1] not in (None, "duplicate")]
    reject_rows(connection, arrival, refused)
    s1_claims.settle_claims(connection, arrival, lines, {row[0]: row[1] for row in refused})
    accepted = sum(verdict is None for _, verdict, _ in verdicts)
    # What feedback had returned was an event until the batch took its place.
    accepted_before = len(lines) - refused_before if before and arrival.is_returned else owned
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
        f"""select name from {STANDING} where kind = 'events' and content_hash <> ?
            and (duplicates > 0 or rejected > 0 or name = format('{RETURNED_FILE}', content_hash))
            and not list_contains(?::varchar[], content_hash)
        order by all""",
        [content_hash, list(landed)],
    ).fetchall()
    return [name for (name,) in rows]
