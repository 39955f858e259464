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
    """A landing file that is to lose rows: the tables know it as it will be."""

    name: str  # its name then
    content_hash: str  # what it will have; of a file that goes what it has
    lines: list[int]  # of the rows that go
    path: Path  # as it is
    partial: Path | None  # what takes its place; None where no row is left

    def replace(self) -> None:
        """Make it so; may be repeated."""
        if self.partial is not None:
            self.partial.replace(self.path.with_name(self.name))
        if self.partial is None or self.name != self.path.name:
            self.path.unlink(missing_ok=True)


def edit(
    connection: duckdb.DuckDBPyConnection,
    kind: str,
    path: Path,
    choose: Choose,
    unchanged: Callable[[], bool] = lambda: True,
    remove_empty: bool = False,
) -> Edited | None:
    """Write a landing file anew, beside it, without the rows that `choose` hits; None without any.

    The caller replaces it: before the transaction ends, a crash lets the new file come in once more
    as duplicates of what is there; after it, the old one.

    Args:
        connection: of the warehouse, in a transaction.
        kind: events, feedback or lists.
        path: the file.
        choose: see `Choose`.
        unchanged: asked at last; where it is False nothing happens.
        remove_empty: let a file go of which no row is left, instead of leaving blank ones.

    Raises:
        BadFile: it cannot be read.
    """
    required, optional, ids = KINDS[kind]
    staged = stage_file(
        connection, path, required=required, optional=optional, ids=ids, as_given=True
    )
    query, parameters = choose(staged)
    told = f"select line, coalesce(hit, false) as hit from ({query}) order by line"
    found = read_columns(connection, told, parameters)
    unstage(connection, staged)
    hit = found["hit"].astype(bool)
    lines = found["line"][hit].tolist()
    if not lines or not unchanged():
        return None
    old = sha256(path)
    if remove_empty and hit.all():
        return Edited(path.name, old, lines, path, None)
    partial = path.with_name(f".{path.name}")
    blank_rows(path, partial, set(lines), found["line"].tolist())
    new = sha256(partial)
    returned = path.name == RETURNED_FILE.format(old)
    name = RETURNED_FILE.format(new) if returned else path.name
    persons.note_hash(connection, kind, old, new, (path.name, name))
    return Edited(name, new, lines, path, partial)


def sha256(path: Path) -> str:
    """The hash that ledgers know a file by."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
