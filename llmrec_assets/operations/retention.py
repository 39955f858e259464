"""Forgetting by age: events, feedback and lists that are older than some days.

Each step may be repeated: what is too old is noted first, so that from then on it is refused where
it comes in; then the landing files lose their old rows, one after the other; then the tables. What
is derived is not mended but made anew: the caller lets new lists be drawn, then calls `sweep`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import get_args

import duckdb

from llmrec_assets.operations.landing_edits import Edited, edit
from llmrec_assets.resources.landing import Kind, Landing, LandingFile
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.sql import list_files, persons, s1_files, s1_retention
from llmrec_assets.sql.landing_files import StagedFile
from llmrec_assets.sql.landing_lines import BadFile, NoRows
from llmrec_assets.sql.landing_values import detect_time, typed_time


@dataclass(frozen=True)
class Expired:
    """What went for its age."""

    before: datetime  # UTC, without zone
    rows: int  # of all tables
    files: list[str]  # landing files that had such rows, by their names now
    unread: list[str]  # landing files that cannot be read, so that their rows have no age
    unfinished: list[str]  # landing files that are being written; the next time sees to them
    versions: list[str]  # model versions whose training had seen such events


def forget(
    warehouse: Warehouse, landing: Landing, days: int, now: datetime | None = None
) -> Expired:
    """Forget what is older than `days`; repeat it after a crash.

    Raises:
        RelativeTimes: something in the store has no age; nothing was forgotten.
    """
    before = (now or datetime.now(UTC)).replace(tzinfo=None) - timedelta(days=days)
    with warehouse.connect() as connection:
        s1_files.create_tables(connection)
        s1_retention.require_ages(connection)
        s1_retention.begin(connection, before)
        before = s1_retention.open_before(connection)
    files, unread, unfinished = [], [], []
    for kind in (kind for kind in get_args(Kind) if kind != "items"):
        scan = landing.scan(kind)
        unfinished += scan.unfinished
        with warehouse.connect() as connection:
            ages = s1_retention.oldest(connection, kind)
        for file in scan.ready:
            if ages.get(file.content_hash, before) > before:
                continue
            try:
                with warehouse.connect() as connection:
                    edited = _edit(connection, kind, file, before)
            except NoRows:
                continue
            except BadFile:
                unread.append(file.name)
                continue
            if edited:  # the tables know it: a crash lets what is old come in once more, refused
                edited.replace()
                files.append(edited.name)
    with warehouse.connect() as connection:
        rows = s1_retention.forget_rows(connection, before)
        versions = s1_retention.finish(connection, rows, len(files))
        left = persons.every_user(connection)
    if people := warehouse.people:
        people.keep_only(left)
    return Expired(before, rows, files, unread, unfinished, versions)


def _edit(
    connection: duckdb.DuckDBPyConnection, kind: str, file: LandingFile, before: datetime
) -> Edited | None:
    """A landing file without its old rows, of which the tables know; None where it has none.

    What has no readable time is as old as its arrival, and new where that is still to come.
    """
    came = s1_retention.came_at(connection, kind, file.content_hash)
    ages: dict[str, datetime] = {}
    choose = partial(_old, connection, kind, before, came, ages)
    edited = edit(connection, kind, file.path, choose, file.is_unchanged, remove_empty=True)
    if edited is not None:
        s1_retention.forget_rejected_lines(
            connection, kind, edited.content_hash, file.name, edited.lines
        )
    if "oldest" in ages and came is not None:
        now = edited.content_hash if edited else file.content_hash
        s1_retention.note_oldest(connection, kind, now, ages["oldest"])
    return edited


def _old(
    connection: duckdb.DuckDBPyConnection,
    kind: str,
    before: datetime,
    came: datetime | None,
    ages: dict[str, datetime],
    staged: StagedFile,
) -> tuple[str, list[object]]:
    """The rows that go; in `ages` the oldest of those that stay. Of relative times none goes."""
    column = list_files.TIME if kind == "lists" else "timestamp"
    time = detect_time(connection, staged.view, column)
    if time.kind == "relative":
        return f"select line, false as hit from {staged.view}", []
    rows = f"""select line, coalesce(time_utc, ?::timestamp) as age
            from ({typed_time(staged.view, time, column)})
        union all select line, ?::timestamp from {staged.rejects}"""
    oldest = connection.execute(
        f"select min(age) from ({rows}) where age >= ?", [came, came, before]
    ).fetchall()[0][0]
    if oldest is not None:
        ages["oldest"] = oldest
    return f"select line, age < ? as hit from ({rows})", [before, came, came]
