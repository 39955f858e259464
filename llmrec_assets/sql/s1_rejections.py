"""What was rejected and is still to be mended, and what each row said in full."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from llmrec_assets.sql.landing_files import unstage
from llmrec_assets.sql.s1_files import ROW_CHARACTERS, Kind
from llmrec_assets.sql.s1_raw_events import stage_events
from llmrec_assets.sql.s1_raw_items import stage_items
from llmrec_assets.sql.s1_tables import FILES, REJECTED_EVENTS, REPAIRS, RETRACTIONS

# A later file of the same name ends the rejections of one that it replaces: it brings every good
# row of it once more, and no fewer rows. Of a file refused as a whole that is any readable one.
_REPLACED = f"""
select old.kind, old.content_hash from {FILES.full_name} old join {FILES.full_name} new
    on new.kind = old.kind and new.name = old.name and new.ingested_at > old.ingested_at
        and new.rows > 0 and new.rows >= old.rows
        and new.duplicates >= old.accepted + old.duplicates
where (new.kind, new.content_hash) not in (
    select (kind, content_hash) from {RETRACTIONS.full_name})
"""

# Columns of rejected_events, and `attempts`, the mended rows that cannot be used either; `reason`
# is that of the newest of them. A row that an erasure emptied has nothing to mend.
OPEN = f"""
select r.* replace (coalesce(a.reason, r.reason) as reason), coalesce(attempts, 0) as attempts
from {REJECTED_EVENTS.full_name} r left join (
    select p.kind, of_hash, of_line, count(*) as attempts, bool_or(reason is null) as repaired,
        arg_max(reason, (ingested_at, p.line)) as reason
    from {REPAIRS.full_name} p join {FILES.full_name} f
        on f.kind = p.kind and f.content_hash = p.file_hash
    group by all
) as a on a.kind = r.kind and a.of_hash = r.file_hash and a.of_line = r.line
where not coalesce(repaired, false) and (r.line is null or r.row is not null)
    and (r.kind, r.file_hash) not in ({_REPLACED})
    and (r.kind, r.file_hash, coalesce(r.line, -1)) not in (
        select (kind, file_hash, line) from {REPAIRS.full_name})
"""


@dataclass(frozen=True)
class Rejection:
    """A row, or a whole file, that could not be used. `row` is the start of its text."""

    kind: Kind
    file: str
    file_hash: str
    line: int | None  # None: the whole file
    reason: str
    row: str | None


def share_open(connection: duckdb.DuckDBPyConnection) -> tuple[int, int, int]:
    """Rows that came in, of those the rejected that are still to be mended, and such whole files.

    A file that could not be read at all has an unknown number of rows: it counts as one.
    """
    (rows,), *_ = connection.execute(
        f"""select coalesce(sum(rows), 0)::bigint from {FILES.full_name}
        where (kind, content_hash) not in (
            select (kind, content_hash) from {RETRACTIONS.full_name})"""
    ).fetchall()
    (rejected, single), *_ = connection.execute(
        f"select count(*), count(line) from ({OPEN})"
    ).fetchall()
    return rows + rejected - single, rejected, rejected - single


def open_rejections(connection: duckdb.DuckDBPyConnection, kind: Kind | None) -> list[Rejection]:
    """What is still to be mended, file by file; of both kinds without one."""
    rows = connection.execute(
        f"""select kind, file, file_hash, line, reason, row from ({OPEN})
        where kind = coalesce(?, kind) order by kind, rejected_at, file_hash, line""",
        [kind],
    ).fetchall()
    return [Rejection(*row) for row in rows]


def in_full(
    connection: duckdb.DuckDBPyConnection, kind: Kind, path: Path, lines: Sequence[int]
) -> dict[int, dict[str, str] | str]:
    """Line → its cells, or its text where it has none, as a landing file has them.

    With the ids of users as given: a mended row is delivered as the rejected one was.

    Raises:
        BadFile: nothing of the file can be used.
    """
    staged = (
        stage_events(connection, path, as_given=True)
        if kind == "events"
        else stage_items(connection, path)
    )
    others = "others" if kind == "items" else "null"
    rows = connection.execute(
        f"""select line, raw, {others}, null from {staged.view}
            where list_contains($lines::bigint[], line)
        union all select line, null, null, row from {staged.rejects}
            where list_contains($lines::bigint[], line)""",
        {"lines": list(lines)},
    ).fetchall()
    unstage(connection, staged)
    return {line: text if raw is None else cells(raw, more) for line, raw, more, text in rows}


def cells(raw: str, others: str | None = None) -> dict[str, str]:
    """The cells of a row that was kept as JSON; those without a value are left out."""
    found = {**json.loads(raw), **json.loads(others or "{}")}
    return {name: value for name, value in found.items() if value is not None}


def as_kept(row: str) -> dict[str, str] | str | None:
    """The cells, or the text, of what rejected_events keeps of a row; None where it is cut."""
    if len(row) >= ROW_CHARACTERS:
        return None
    try:
        found = json.loads(row)
    except ValueError:
        return row
    is_ours = isinstance(found, dict) and all(isinstance(v, str | None) for v in found.values())
    return cells(row) if is_ours else row


def outcomes(
    connection: duckdb.DuckDBPyConnection, kind: Kind, content_hash: str
) -> list[tuple[str, int, str | None]]:
    """Of each mended row of a file: which row of which file it repairs, and why not."""
    return connection.execute(
        f"""select of_file, of_line, reason from {REPAIRS.full_name}
        where kind = ? and file_hash = ? order by line""",
        [kind, content_hash],
    ).fetchall()
