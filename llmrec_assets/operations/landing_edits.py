"""Landing files replaced by themselves without some of their rows; the tables follow."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import duckdb

from llmrec_assets.operations.landing_rows import blank_rows
from llmrec_assets.sql import feedback_files, list_files, persons, s1_raw_events
from llmrec_assets.sql.landing_files import StagedFile, stage_file, unstage
from llmrec_assets.sql.s1_tables import RETURNED_FILE
from llmrec_assets.sql.tables import read_columns

KINDS = {
    "events": (s1_raw_events.REQUIRED, s1_raw_events.OPTIONAL, s1_raw_events.IDS),
    "feedback": (feedback_files.REQUIRED, feedback_files.OPTIONAL, feedback_files.IDS),
    "lists": (list_files.REQUIRED, (), list_files.IDS),
}
# Of a staged file: a query of every row's `line` and `hit`, whether it goes, and its parameters.
Choose = Callable[[StagedFile], tuple[str, list[object]]]


@dataclass(frozen=True)
class Edited:
    """A landing file that lost rows."""

    name: str  # its name now
    content_hash: str  # what it has now; of a file that is gone what it had
    lines: list[int]  # of the rows that went
    is_gone: bool  # no row was left


def edit(
    connection: duckdb.DuckDBPyConnection,
    kind: str,
    path: Path,
    choose: Choose,
    unchanged: Callable[[], bool] = lambda: True,
    remove_empty: bool = False,
) -> Edited | None:
    """Replace a landing file by itself without the rows that `choose` hits; None if there are none.

    The file is replaced before the tables' transaction ends: after a crash in between it comes in
    once more, as duplicates of what is there.

    Args:
        connection: of the warehouse, in a transaction.
        kind: events, feedback or lists.
        path: the file.
        choose: see `Choose`.
        unchanged: asked at last; where it is False nothing happens.
        remove_empty: remove the file where no row is left, instead of leaving blank ones.

    Raises:
        BadFile: it cannot be read.
    """
    required, optional, ids = KINDS[kind]
    staged = stage_file(connection, path, required=required, optional=optional, ids=ids)
    query, parameters = choose(staged)
    found = read_columns(
        connection,
        f"select line, coalesce(hit, false) as hit from ({query}) order by 1",
        parameters,
    )
    unstage(connection, staged)
    hit = found["hit"].astype(bool)
    lines = found["line"][hit].tolist()
    if not lines or not unchanged():
        return None
    old = sha256(path)
    if remove_empty and hit.all():
        path.unlink()
        return Edited(path.name, old, lines, is_gone=True)
    partial = path.with_name(f".{path.name}")
    blank_rows(path, partial, set(lines), found["line"].tolist())
    new = sha256(partial)
    returned = path.name == RETURNED_FILE.format(old)
    target = path.with_name(RETURNED_FILE.format(new)) if returned else path
    partial.replace(target)
    if target != path:
        path.unlink()
    persons.note_hash(connection, kind, old, new, (path.name, target.name))
    return Edited(target.name, new, lines, is_gone=False)


def sha256(path: Path) -> str:
    """The hash that ledgers know a file by."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
