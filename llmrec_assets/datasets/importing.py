"""Data sets of other forms, written into the landing zone as Parquet."""

import codecs
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from llmrec_assets.datasets.columns import COLUMNS, REQUIRED
from llmrec_assets.datasets.public_formats import FORMATS
from llmrec_assets.layout import Layout


class ImportProblem(ValueError):
    """What was named cannot be imported; the message says why and what to do."""


@dataclass(frozen=True)
class Imported:
    """One file that was written."""

    source: Path
    target: Path
    kind: str
    rows: int


def import_public(
    layout: Layout, name: str, folder: Path, impressions: bool = False
) -> list[Imported]:
    """Write every file of a public data set that lies in `folder` or below.

    `impressions`: also what was shown and not taken, as events of their own.

    Raises:
        ImportProblem: no file of it is there, or one cannot be read.
    """
    known, written = FORMATS[name], []
    for part in known.parts:
        for path in sorted(folder.rglob(part.pattern)):
            written.append(_write(layout, part.kind, path, _query(part.query, path), name))
            if impressions and part.impressions:
                query = _query(part.impressions, path)
                written.append(_write(layout, part.kind, path, query, f"{name}-impressions"))
    if not written:
        raise ImportProblem(f"{folder} has no file of {known.about}")
    if not any(file.kind == "events" for file in written):
        raise ImportProblem(f"{folder} has items but no events of {known.about}")
    return written


def _query(query: str, path: Path) -> str:
    """The query with the encoding of the file, where it depends on that."""
    return query.replace("ENCODING", _encoding(path)) if "ENCODING" in query else query


def _encoding(path: Path) -> str:
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        try:
            while chunk := file.read(1 << 20):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "latin-1"
    return "utf-8"


def columns_of(path: Path) -> list[str]:
    """The columns of a CSV, Parquet or JSON Lines file.

    Raises:
        ImportProblem: it cannot be read.
    """
    try:
        with duckdb.connect(":memory:") as connection:
            found = connection.execute(
                f"describe from {_reader(path)}", {"path": str(path)}
            ).fetchall()
    except duckdb.Error as error:
        raise ImportProblem(f"{path.name} cannot be read: {_first_line(error)}") from error
    return [row[0] for row in found]


def import_table(
    layout: Layout,
    path: Path,
    kind: str,
    mapping: Mapping[str, str],
    behavior: str = "",
    known_as: str = "",
) -> Imported:
    """Write one file with its columns renamed; the others stay as they are.

    Args:
        layout: of the store.
        path: CSV, Parquet or JSON Lines.
        kind: events or items.
        mapping: our name → the file's.
        behavior: of all events, where no column tells it.
        known_as: what the rows are of, where that is not the path.

    Raises:
        ImportProblem: a column is not there, or one that is needed is not mapped.
    """
    columns = columns_of(path)
    for name, column in mapping.items():
        if name not in COLUMNS[kind]:
            raise ImportProblem(f"{name} is no column of {kind}: {', '.join(COLUMNS[kind])}")
        if column not in columns:
            raise ImportProblem(f"{path.name} has no column {column!r}: {', '.join(columns)}")
    missing = [name for name in REQUIRED[kind] if name not in mapping]
    if kind == "events" and "behavior" not in mapping and not behavior:
        missing.append("behavior (or one for all: --behavior buy)")
    if missing:
        raise ImportProblem(
            f"no column of {path.name} ({', '.join(columns)}) is known to be"
            f" {', '.join(missing)}: name it, such as --map user_id=COLUMN"
        )
    selected = [f"{_quoted(column)} as {name}" for name, column in mapping.items()]
    taken = {*mapping.values(), *COLUMNS[kind]}
    selected += [_quoted(column) for column in columns if column not in taken]
    parameters = {}
    if kind == "events" and "behavior" not in mapping:
        selected.append("$behavior as behavior")
        parameters["behavior"] = behavior
    query = f"select {', '.join(selected)} from {_reader(path)}"
    return _write(layout, kind, path, query, "table", parameters, known_as)


def _write(
    layout: Layout,
    kind: str,
    path: Path,
    query: str,
    name: str,
    parameters: Mapping[str, str] | None = None,
    known_as: str = "",
) -> Imported:
    """The rows of `query` as one Parquet file; the same source gives the same name."""
    folder = layout.landing_events if kind == "events" else layout.landing_items
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256((known_as or str(path.resolve())).encode()).hexdigest()[:8]
    target = folder / f"{name}-{digest}.parquet"
    partial = target.with_name(f".{target.name}")
    values = {"path": str(path), **(parameters or {})}
    try:
        with duckdb.connect(":memory:") as connection:
            connection.sql(query, params=values).write_parquet(str(partial), compression="zstd")
            rows = connection.execute(
                "select count(*) from read_parquet(?)", [str(partial)]
            ).fetchall()[0][0]
    except duckdb.Error as error:
        partial.unlink(missing_ok=True)
        raise ImportProblem(f"{path} cannot be read as {name}: {_first_line(error)}") from error
    partial.replace(target)
    return Imported(path, target, kind, rows)


def _reader(path: Path) -> str:
    name = path.name.lower().removesuffix(".gz")
    if name.endswith(".parquet"):
        return "read_parquet($path)"
    if name.endswith((".jsonl", ".ndjson", ".json")):
        return "read_json($path)"
    return "read_csv($path, all_varchar = true)"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
