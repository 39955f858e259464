"""Rejected rows out to a file that a person can mend, and the way back into the landing zone."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import duckdb

from llmrec_assets.layout import Layout
from llmrec_assets.operations.mending_files import NotMendable, Row, read_rows, write_rows
from llmrec_assets.resources.landing import Landing
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.sql import s1_rejections
from llmrec_assets.sql.s1_files import Kind, create_tables
from llmrec_assets.sql.s1_raw_events import OPTIONAL, REQUIRED
from llmrec_assets.sql.s1_raw_items import TEXTS
from llmrec_assets.sql.s1_repairs import REFERENCE, reference
from llmrec_assets.sql.s1_tables import REPAIRED_PREFIX

# What an export tells a person; it does not come back.
TOLD = ("rejected_file", "rejected_line", "rejected_because", "rejected_row")
_REQUIRED = {"events": REQUIRED, "items": ("item_id",)}
_COLUMNS = {"events": (*REQUIRED, *OPTIONAL), "items": ("item_id", *TEXTS, "price")}


@dataclass(frozen=True)
class Exported:
    """What an export has."""

    rows: int
    lost: int  # rows whose file is no longer landed, and of which only the start was kept
    whole_files: int  # files that were refused as a whole: they have no rows


@dataclass(frozen=True)
class Replayed:
    """Mended rows in the landing zone, for the next ingestion to take."""

    kind: Kind
    path: Path
    content_hash: str


def export_rejected(layout: Layout, target: Path, kind: Kind) -> Exported:
    """Write the open rejections of one kind to `target`, CSV or JSON Lines.

    Raises:
        NotMendable: the name of `target` says neither.
        BadFile: a file that came in once cannot be read any more.
    """
    landed = {f.content_hash: f.path for f in Landing(root=str(layout.root)).ready_files(kind)}
    rows: list[Row] = []
    with Warehouse(path=str(layout.warehouse)).connect() as connection:
        create_tables(connection)
        found = s1_rejections.open_rejections(connection, kind)
        single = [rejection for rejection in found if rejection.line is not None]
        for content_hash, of_file in groupby(single, lambda rejection: rejection.file_hash):
            rows += _rows_of_file(connection, kind, landed.get(content_hash), list(of_file))
    write_rows(target, rows, (REFERENCE, *TOLD, *_COLUMNS[kind]))
    return Exported(len(rows), len(single) - len(rows), len(found) - len(single))


def _rows_of_file(
    connection: duckdb.DuckDBPyConnection,
    kind: Kind,
    path: Path | None,
    rejected: Sequence[s1_rejections.Rejection],
) -> list[Row]:
    """The rejected rows of one file, in full where it is still there.

    A row without cells is only shown: its cells are to be filled in.
    """
    lines = [line for rejection in rejected if (line := rejection.line) is not None]
    full = s1_rejections.in_full(connection, kind, path, lines) if path else {}
    rows = []
    for line, one in zip(lines, rejected, strict=True):
        said = full.get(line) or s1_rejections.as_kept(one.row or "")
        if said is None:
            continue
        rows.append(
            {REFERENCE: reference(kind, one.file_hash, line, one.file)}
            | dict(zip(TOLD, (one.file, str(line), one.reason), strict=False))
            | ({TOLD[3]: said} if isinstance(said, str) else said)
        )
    return rows


def replay(layout: Layout, source: Path) -> Replayed:
    """Put the mended rows of an export into the landing zone.

    The same rows make the same file, so that a second replay changes nothing.

    Raises:
        NotMendable: `source` is no export of rejected rows, or has rows that were added to it.
    """
    rows = read_rows(source)
    kind = _kind_of(source.name, rows)
    required = dict.fromkeys(_REQUIRED[kind], "")  # else one that all rows lack is no column
    kept = [required | {n: cell for n, cell in row.items() if n not in TOLD} for row in rows]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept).encode()
    content_hash = hashlib.sha256(text).hexdigest()
    folder = layout.landing_events if kind == "events" else layout.landing_items
    target = folder / f"{REPAIRED_PREFIX}{content_hash:.16}.jsonl"
    _land(target, text)
    return Replayed(kind, target, content_hash)


def _kind_of(name: str, rows: list[Row]) -> Kind:
    """Whether the rows are of events or of items; all of them say which rejected row they mend."""
    if not rows:
        raise NotMendable(f"{name} has no rows")
    for number, row in enumerate(rows, start=1):
        if REFERENCE not in row:
            raise NotMendable(
                f"row {number} of {name} has no {REFERENCE}: a replay takes rows of"
                " llmrec rejected export only; put others into the landing zone as they are"
            )
    kinds = {row[REFERENCE].partition(":")[0] for row in rows}
    if kinds == {"events"}:
        return "events"
    if kinds == {"items"}:
        return "items"
    raise NotMendable(f"{REFERENCE} in {name} does not say events, or items, of all rows")


def _land(target: Path, text: bytes) -> None:
    """Write a file of the landing zone whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}")
    with partial.open("wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(target)
