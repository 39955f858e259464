"""What a file that is taken back does to mended rows: to its own, and to those of its rows.

Its own claims go, so that what it repaired is open again, or repaired by another file that came
later. Mended rows of other files that stand for its rejected rows go with it: without it there
would have been nothing to mend.
"""

import duckdb

from llmrec_assets.sql.s1_files import Arrival
from llmrec_assets.sql.s1_repairs import REPAIRED_ALREADY, TAKEN_BACK
from llmrec_assets.sql.s1_tables import FILES, RAW_EVENTS, REJECTED_EVENTS, REPAIRS


def forget_claims(connection: duckdb.DuckDBPyConnection, kind: str, content_hash: str) -> None:
    """A file that is taken back repairs nothing any more."""
    connection.execute(
        f"delete from {REPAIRS.full_name} where kind = ? and file_hash = ?", [kind, content_hash]
    )


def files_that_mend(
    connection: duckdb.DuckDBPyConnection, kind: str, content_hash: str
) -> list[str]:
    """Hashes of files with mended rows of this one."""
    rows = connection.execute(
        f"select distinct file_hash from {REPAIRS.full_name} where kind = ? and of_hash = ?"
        " order by all",
        [kind, content_hash],
    ).fetchall()
    return [file_hash for (file_hash,) in rows]


def refused_because_of(
    connection: duckdb.DuckDBPyConnection, content_hash: str
) -> dict[str, list[int]]:
    """File → its lines that are no events because a row of this file repaired the same before."""
    rows = connection.execute(
        f"""select other.file_hash, list(distinct other.line) from {REPAIRS.full_name} own
        join {REPAIRS.full_name} other using (kind, of_hash, of_line)
        where kind = 'events' and own.file_hash = $hash and own.reason is null
            and other.file_hash <> $hash and other.reason = '{REPAIRED_ALREADY}'
        group by other.file_hash""",
        {"hash": content_hash},
    ).fetchall()
    return dict(rows)


def settle_claims(
    connection: duckdb.DuckDBPyConnection,
    arrival: Arrival,
    lines: list[int],
    refused: dict[int, str | None],
) -> None:
    """Note what became of mended rows among `lines` that were judged anew, and why not."""
    connection.execute(
        f"""update {REPAIRS.full_name} as p set reason = why
        from (select unnest($lines::bigint[]) as line) as judged left join (
            select unnest($keys::bigint[]) as line, unnest($reasons::varchar[]) as why) as r
            using (line)
        where p.kind = $kind and p.file_hash = $hash and p.line = judged.line""",
        {
            "lines": lines,
            "keys": list(refused),
            "reasons": list(refused.values()),
            "kind": arrival.kind,
            "hash": arrival.content_hash,
        },
    )


def add_mended_rows(connection: duckdb.DuckDBPyConnection, content_hash: str, into: str) -> None:
    """Add to the table `into` the event ids of mended rows of a file that is taken back."""
    connection.execute(
        f"""insert into {into} select event_id from {RAW_EVENTS.full_name} e
        join {REPAIRS.full_name} p on p.kind = 'events' and p.file_hash = e.file_hash
            and p.line = e.line
        where p.of_hash = ? and p.file_hash <> ? and p.reason is null
            and event_id not in (select event_id from {into})""",
        [content_hash, content_hash],
    )


def disown_mended_rows(
    connection: duckdb.DuckDBPyConnection, kind: str, content_hash: str, accepted: str
) -> None:
    """Refuse the mended rows of a file that is taken back, in `repairs` and in the ledger.

    Args:
        connection: of the warehouse.
        kind: events or items.
        content_hash: of the file that is taken back.
        accepted: table of `file_hash` and `line` of rows that counted as accepted.
    """
    gone = f"""select p.file_hash, p.line, files.name,
            (p.file_hash, p.line) in (select (file_hash, line) from {accepted}) as was_event
        from {REPAIRS.full_name} p
        join {FILES.full_name} files on files.kind = p.kind and files.content_hash = p.file_hash
        where p.kind = $kind and p.of_hash = $hash and p.reason is null"""
    values = {"kind": kind, "hash": content_hash}
    connection.execute(
        f"""insert into {REJECTED_EVENTS.full_name} by name
        select $kind as kind, name as file, file_hash, line, '{TAKEN_BACK}' as reason,
            null as row, now()::timestamp as rejected_at from ({gone}) order by file_hash, line""",
        values,
    )
    connection.execute(
        f"""update {FILES.full_name} as f set accepted = accepted - events,
            duplicates = duplicates - (n - events), rejected = rejected + n
        from (select file_hash, count(*) as n, count(*) filter (was_event) as events
            from ({gone}) group by all) as lost
        where f.kind = $kind and f.content_hash = lost.file_hash""",
        values,
    )
    connection.execute(
        f"update {REPAIRS.full_name} set reason = '{TAKEN_BACK}'"
        " where kind = $kind and of_hash = $hash and reason is null",
        values,
    )
