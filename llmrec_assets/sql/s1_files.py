"""The ledger of files: what came in, and what became of each row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import duckdb

from llmrec_assets.sql.free_text import scrubbed
from llmrec_assets.sql.landing_files import StagedFile, unstage
from llmrec_assets.sql.landing_lines import BadFile
from llmrec_assets.sql.landing_values import FileTime
from llmrec_assets.sql.s1_retention import EXPIRIES, FILE_AGES, kept
from llmrec_assets.sql.s1_tables import (
    FILES,
    RAW_EVENTS,
    RAW_ITEMS,
    REJECTED_EVENTS,
    RETRACTIONS,
    RETURNED_FILE,
    TABLES,
)

Kind = Literal["events", "items"]
ROW_CHARACTERS = 500


@dataclass(frozen=True)
class Arrival:
    """One file that arrived. `at` is the time of its ingestion, UTC without a zone."""

    kind: Kind
    path: Path
    name: str
    content_hash: str
    at: datetime

    @classmethod
    def now(cls, kind: Kind, path: Path, content_hash: str) -> "Arrival":
        """A file that arrives at this moment."""
        return cls(kind, path, path.name, content_hash, datetime.now(UTC).replace(tzinfo=None))

    @property
    def is_returned(self) -> bool:
        """Whether stage 7 wrote the file: events as thin as the feedback they come from."""
        return self.name == RETURNED_FILE.format(self.content_hash)


@dataclass(frozen=True)
class Taken:
    """What became of the good rows of a file."""

    staged: StagedFile
    time: FileTime
    accepted: int
    duplicates: int
    ignored_columns: tuple[str, ...] = ()


def create_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the tables of the stage where they are missing."""
    for table in (*TABLES, EXPIRIES, FILE_AGES):
        table.create(connection)


def is_known(connection: duckdb.DuckDBPyConnection, kind: Kind, content_hash: str) -> bool:
    """Whether this content came in already, whatever its name."""
    query = f"select 1 from {FILES.full_name} where kind = ? and content_hash = ?"
    return bool(connection.execute(query, [kind, content_hash]).fetchall())


def last_seq(connection: duckdb.DuckDBPyConnection, kind: Kind) -> int:
    """The newest ingestion sequence number; 0 before the first row.

    Rows may have gone since, or have come in anew when another file was taken back.
    """
    rows = RAW_EVENTS if kind == "events" else RAW_ITEMS
    query = f"""select greatest(coalesce(sum(accepted), 0),
            (select coalesce(max(seq), 0) from {rows.full_name}),
            (select coalesce(max(last_seq), 0) from {RETRACTIONS.full_name} where kind = $kind)
        )::bigint
        from {FILES.full_name} where kind = $kind"""
    return connection.execute(query, {"kind": kind}).fetchall()[0][0]


def ingest(
    connection: duckdb.DuckDBPyConnection,
    arrival: Arrival,
    take: Callable[[duckdb.DuckDBPyConnection, Arrival], Taken],
) -> None:
    """Write all of one file, its rejections and its ledger row; the caller commits."""
    try:
        taken = take(connection, arrival)
    except BadFile as bad:
        _reject(connection, arrival, "select null, ?, null", [str(bad)])
        _enter(connection, arrival, [0, 0, 0, 0, None, None, []])
        return
    staged = taken.staged
    unread = scrubbed(connection, "row")
    _reject(connection, arrival, f"select line, reason, {unread} from {staged.rejects}")
    _reject(
        connection,
        arrival,
        f"""select line, r.reason, {kept("r.reason", scrubbed(connection, "v.raw"))}
        from refused r join {staged.view} v using (line)""",
    )
    rejected = staged.rows - taken.accepted - taken.duplicates
    ledger = [staged.rows, taken.accepted, taken.duplicates, rejected]
    kind = [taken.time.kind, taken.time.unit, list(taken.ignored_columns)]
    _enter(connection, arrival, [*ledger, *kind])
    unstage(connection, staged)


def reject_rows(
    connection: duckdb.DuckDBPyConnection,
    arrival: Arrival,
    rows: Sequence[tuple[int, str | None, str]],
) -> None:
    """Keep (line, reason, row) of lines that cannot be used."""
    for row in rows:
        _reject(connection, arrival, "select ?, ?, ?", row)


def _reject(
    connection: duckdb.DuckDBPyConnection, arrival: Arrival, query: str, parameters: object = ()
) -> None:
    connection.execute(
        f"""insert into {REJECTED_EVENTS.full_name}
        select ?, ?, ?, line, reason, left(row, {ROW_CHARACTERS}), ?
        from ({query}) as found(line, reason, row) order by line""",
        [arrival.kind, arrival.name, arrival.content_hash, arrival.at, *parameters],  # pyright: ignore
    )


def _enter(connection: duckdb.DuckDBPyConnection, arrival: Arrival, values: list[object]) -> None:
    connection.execute(
        f"insert into {FILES.full_name} values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [arrival.kind, arrival.content_hash, arrival.name, arrival.at, *values],
    )
