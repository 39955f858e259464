"""Forgetting one user: in the landing files, in every table, in arrays and in what is published.

What is derived is not mended but made anew: the caller lets new lists be drawn after `forget`,
then calls `sweep`. Each step may be repeated after a crash.
"""

import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import duckdb
import numpy as np

from llmrec_assets import published
from llmrec_assets.layout import Layout
from llmrec_assets.operations.landing_edits import edit
from llmrec_assets.resources.arrays import Arrays
from llmrec_assets.resources.owned_folders import remove_left
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.serving import segments
from llmrec_assets.sql import increments, persons, s1_retention
from llmrec_assets.sql.landing_files import StagedFile
from llmrec_assets.sql.landing_lines import BadFile, NoRows
from llmrec_assets.sql.s1_tables import RAW_EVENTS


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
    known = warehouse.known_as(user)
    with warehouse.connect() as connection:
        versions = persons.versions_that_saw(connection, known)
        texts = persons.personal_texts(connection, known)
        files, unread, refused = [], [], []
        for kind, folder in (
            ("events", layout.landing_events),
            ("feedback", layout.landing_feedback),
            ("lists", layout.landing_lists),
        ):
            for path in sorted(p for p in folder.glob("*") if p.is_file() and p.name[0] != "."):
                try:
                    edited = edit(connection, kind, path, partial(_rows_of, user, known))
                except NoRows:
                    continue
                except BadFile:
                    unread.append(path.name)
                    continue
                if edited:
                    edited.replace()
                    files.append(edited.name)
                    refused.append((kind, edited.content_hash, path.name, edited.lines))
        if rows := persons.forget_user(connection, known):
            persons.record_erasure(connection, rows, len(files), versions, texts)
        for lines in refused:  # also those of which no text is kept that could name the user
            s1_retention.forget_rejected_lines(connection, *lines)
    if people := warehouse.people:
        people.forget(known)
    return Forgotten(rows, files, unread, versions)


def _require_no_open_segment(layout: Layout) -> None:
    """What a dead service left open goes to the landing zone; a living one is to be stopped."""
    for folder in (layout.landing_events, layout.landing_feedback, layout.landing_lists):
        segments.recover(folder)
        if any(folder.glob(f".{segments.PREFIX}*")):
            raise ServiceRuns(
                f"llmrec serve writes to {folder}: stop it, erase the user, start it again"
            )


def _rows_of(user: str, known: str, staged: StagedFile) -> tuple[str, list[object]]:
    """The user's rows, and those that could not be read and name the user.

    What the loop itself wrote, feedback that returns, names the user as the tables do.
    """
    query = f"""select line, user_id in (?, ?) as hit from {staged.view}
        union all select line, regexp_matches("row", ?) from {staged.rejects}"""
    return query, [user, known, persons.as_word(user)]


def sweep(layout: Layout, rewrite: bool = True) -> None:
    """Take away what new lists left behind: vectors, words of increments, packages, freed pages.

    And what tasks of a killed run had exchanged.

    `rewrite` copies the DuckDB file: nothing else may use it meanwhile.
    """
    remove_left(layout.tasks)
    with Warehouse(path=str(layout.warehouse)).connect() as connection:
        left = {*persons.texts_left(connection), *s1_retention.texts_left(connection)}
        _wipe_vectors(connection, layout.arrays, sorted(left))
        persons.finish_erasures(connection)
        s1_retention.finish_texts(connection)
        increments.forget_words_so_far(connection)
        is_empty = not RAW_EVENTS.count(connection)
    if rewrite:
        _rewrite(layout.warehouse)
    if is_empty:  # no list is drawn any more that could take the place of the last ones
        for path in (layout.current_package, layout.recommendations):
            path.unlink(missing_ok=True)
    current = published.read_current(layout)
    for path in layout.packages.iterdir() if layout.packages.is_dir() else ():
        if path.name != current:
            shutil.rmtree(path)


def _wipe_vectors(connection: duckdb.DuckDBPyConnection, arrays: Path, keys: list[str]) -> None:
    """Zero the cached vectors of texts that nobody has any more, and forget where they lie."""
    table = "s3_embeddings.text_vectors"
    if not keys:
        return
    theirs = "text_key in (select unnest(?::varchar[]))"
    rows = connection.execute(
        f"select part, list(part_row) from {table} where {theirs} group by part order by part",
        [keys],
    ).fetchall()
    store = Arrays(root=str(arrays))
    for part, places in rows:
        vectors = np.array(store.open(part))
        vectors[places] = 0
        store.write(part, vectors)
    connection.execute(f"delete from {table} where {theirs}", [keys])


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
