"""Forgetting one user: in the landing files, in every table, in arrays and in what is published.

What is derived is not mended but made anew: the caller lets new lists be drawn after `forget`,
then calls `sweep`. Each step may be repeated after a crash.
"""

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np

from llmrec_assets import published
from llmrec_assets.layout import Layout
from llmrec_assets.operations.landing_rows import blank_rows
from llmrec_assets.resources.arrays import Arrays
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.serving import segments
from llmrec_assets.sql import feedback_files, list_files, persons, s1_raw_events
from llmrec_assets.sql.landing_files import stage_file, unstage
from llmrec_assets.sql.landing_lines import BadFile
from llmrec_assets.sql.s1_tables import RETURNED_FILE
from llmrec_assets.sql.tables import read_columns

_KINDS = {
    "events": (s1_raw_events.REQUIRED, s1_raw_events.OPTIONAL, s1_raw_events.IDS),
    "feedback": (feedback_files.REQUIRED, feedback_files.OPTIONAL, feedback_files.IDS),
    "lists": (list_files.REQUIRED, (), list_files.IDS),
}


class ServiceRuns(Exception):
    """A running service holds what an erasure would miss."""


@dataclass(frozen=True)
class Forgotten:
    """What was held on somebody."""

    rows: int  # of all tables
    files: list[str]  # landing files that had rows, by their names now
    unread: list[str]  # landing files that cannot be read, so that they were not searched
    versions: list[str]  # model versions whose training had seen the user


def forget(layout: Layout, user: str) -> Forgotten:
    """Blank the user's rows in the landing files and delete those of the tables.

    A file is replaced before the tables know its new content: after a crash in between it comes in
    once more, as duplicates of what is there, and the erasure can be repeated. What `sweep` has to
    do is kept with it.

    Raises:
        ServiceRuns: an online service holds feedback that no file of the landing zone has yet.
    """
    _require_no_open_segment(layout)
    warehouse = Warehouse(path=str(layout.warehouse))
    with warehouse.connect() as connection:
        versions = persons.versions_that_saw(connection, user)
        texts = persons.personal_texts(connection, user)
        files, unread = [], []
        for kind, folder in (
            ("events", layout.landing_events),
            ("feedback", layout.landing_feedback),
            ("lists", layout.landing_lists),
        ):
            for path in sorted(p for p in folder.glob("*") if p.is_file() and p.name[0] != "."):
                try:
                    name = _blank(connection, kind, path, user)
                except BadFile:
                    unread.append(path.name)
                    continue
                if name:
                    files.append(name)
        if rows := persons.forget_user(connection, user):
            persons.record_erasure(connection, rows, len(files), versions, texts)
    return Forgotten(rows, files, unread, versions)


def _require_no_open_segment(layout: Layout) -> None:
    """What a dead service left open goes to the landing zone; a living one is to be stopped."""
    for folder in (layout.landing_events, layout.landing_feedback, layout.landing_lists):
        segments.recover(folder)
        if any(folder.glob(f".{segments.PREFIX}*")):
            raise ServiceRuns(
                f"llmrec serve writes to {folder}: stop it, erase the user, start it again"
            )


def _blank(connection: duckdb.DuckDBPyConnection, kind: str, path: Path, user: str) -> str | None:
    """Replace a landing file by itself without the user's rows; its name now, None if untouched."""
    required, optional, ids = _KINDS[kind]
    staged = stage_file(connection, path, required=required, optional=optional, ids=ids)
    found = read_columns(
        connection,
        f"""select line, coalesce(hit, false) as hit from (
            select line, user_id = ? as hit from {staged.view}
            union all select line, regexp_matches("row", ?) from {staged.rejects})
        order by line""",
        [user, persons.as_word(user)],
    )
    unstage(connection, staged)
    lines = set(found["line"][found["hit"].astype(bool)].tolist())
    if not lines:
        return None
    partial = path.with_name(f".{path.name}")
    blank_rows(path, partial, lines, found["line"].tolist())
    old, new = _sha256(path), _sha256(partial)
    returned = path.name == RETURNED_FILE.format(old)
    target = path.with_name(RETURNED_FILE.format(new)) if returned else path
    partial.replace(target)
    if target != path:
        path.unlink()
    persons.note_hash(connection, kind, old, new, (path.name, target.name))
    return target.name


def sweep(layout: Layout) -> None:
    """Take away what new lists left behind: vectors, older packages, freed pages."""
    with Warehouse(path=str(layout.warehouse)).connect() as connection:
        _wipe_vectors(connection, layout.arrays, persons.texts_left(connection))
        persons.finish_erasures(connection)
    _rewrite(layout.warehouse)
    current = published.read_current(layout)
    for path in layout.packages.iterdir() if layout.packages.is_dir() else ():
        if path.name != current:
            shutil.rmtree(path)


def _wipe_vectors(connection: duckdb.DuckDBPyConnection, arrays: Path, keys: list[str]) -> None:
    """Zero the cached vectors of texts that nobody has any more, and forget where they lie."""
    table = "s3_embeddings.text_vectors"
    if not keys:
        return
    rows = connection.execute(
        f"select part, part_row from {table} where list_contains(?::varchar[], text_key)", [keys]
    ).fetchall()
    store = Arrays(root=str(arrays))
    for part in sorted({part for part, _ in rows}):
        vectors = np.array(store.open(part))
        vectors[[row for name, row in rows if name == part]] = 0
        store.write(part, vectors)
    connection.execute(f"delete from {table} where list_contains(?::varchar[], text_key)", [keys])


def _rewrite(path: Path) -> None:
    """Copy the DuckDB file: pages of deleted rows stay in the old one, which goes."""
    partial = path.with_name(f".{path.name}")
    partial.unlink(missing_ok=True)
    with duckdb.connect(":memory:") as connection:
        connection.execute(f"attach '{_quoted(path)}' as old (read_only)")
        connection.execute(f"attach '{_quoted(partial)}' as new")
        connection.execute("copy from database old to new")
        connection.execute("checkpoint new")
    partial.replace(path)


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
