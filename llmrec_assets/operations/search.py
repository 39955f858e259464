"""Where a store names a user: every file is read as what it is."""

import re
import sqlite3
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import duckdb

from llmrec_assets.layout import Layout
from llmrec_assets.sql import persons

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".zip")
_LEAST = 6  # characters of an id that is searched for in any text, not in columns of users alone
_ESCAPED = re.compile(r"\\+u([0-9a-fA-F]{4})")  # of JSON, perhaps within JSON
_PAIRS = re.compile("[\ud800-\udbff][\udc00-\udfff]")


def is_telling(user: str) -> bool:
    """Whether the id is so long that a text that holds it means this user."""
    return len(user) >= _LEAST


def find_user(layout: Layout, user: str) -> dict[str, int]:
    """Place → how often it names the user; empty where the store knows nothing of it.

    A short id, such as 17, is looked for where ids of users stand; a longer one in every text.
    """
    return find_below(layout.root, user)


def find_below(folder: Path, user: str) -> dict[str, int]:
    """`find_user` in any folder."""
    found: dict[str, int] = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        if path.name.endswith(ARCHIVES):
            continue
        name = str(path.relative_to(folder))
        for place, count in _read(path, user):
            found[f"{name}: {place}" if place else name] = count
    return found


def archives(layout: Layout) -> list[str]:
    """Files of the store that `find_user` does not look into."""
    return sorted(
        str(path.relative_to(layout.root))
        for path in layout.root.rglob("*")
        if path.is_file() and path.name.endswith(ARCHIVES)
    )


def _read(path: Path, user: str) -> Iterator[tuple[str, int]]:
    try:
        yield from _as_what_it_is(path, user)
    except (duckdb.Error, sqlite3.DatabaseError, zipfile.BadZipFile):
        if path.suffix == ".duckdb":
            raise
        if is_telling(user):  # a broken file
            yield from _in_bytes(path.read_bytes(), namer(user))


def _as_what_it_is(path: Path, user: str) -> Iterator[tuple[str, int]]:
    with path.open("rb") as file:
        head = file.read(16)
    if path.suffix == ".duckdb":
        yield from _in_duckdb(path, user)
    elif head[:4] == b"PAR1":
        yield from _in_parquet(path, user)
    elif not is_telling(user):
        return
    elif head.startswith(b"SQLite format 3"):
        yield from _in_sqlite(path, namer(user))
    elif head[:4] == b"PK\x03\x04":
        yield from _in_zip(path, namer(user))
    else:
        yield from _in_bytes(path.read_bytes(), namer(user))


def _in_bytes(raw: bytes, names: Callable[[object], int]) -> Iterator[tuple[str, int]]:
    if count := names(raw):
        yield "", count


def _in_duckdb(path: Path, user: str) -> Iterator[tuple[str, int]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        yield from persons.mentions(connection, user, is_telling(user)).items()


def _in_parquet(path: Path, user: str) -> Iterator[tuple[str, int]]:
    with duckdb.connect(":memory:") as connection:
        connection.execute("create table file as from read_parquet(?)", [str(path)])
        yield from persons.mentions(connection, user, is_telling(user)).items()


def _in_sqlite(path: Path, names: Callable[[object], int]) -> Iterator[tuple[str, int]]:
    """The stores of Dagster and MLflow: JSON in columns, of which some are compressed."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        connection.create_function("names", 1, lambda cell: bool(names(cell)))
        tables = connection.execute("select name from sqlite_master where type = 'table'")
        for (table,) in tables.fetchall():
            for _, column, *_ in connection.execute(f'pragma table_info("{table}")').fetchall():
                told = f'"{column}" is not null and names("{column}")'
                query = f'select count(*) from "{table}" where {told}'
                if rows := connection.execute(query).fetchone()[0]:
                    yield f"{table}.{column}", rows


def _in_zip(path: Path, names: Callable[[object], int]) -> Iterator[tuple[str, int]]:
    """Such as arrays of numpy."""
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            if count := names(archive.read(member)):
                yield member, count


def namer(user: str) -> Callable[[object], int]:
    """How often a text, or bytes that hold text, names the user; compressed ones are unpacked.

    Escapes of JSON count as what they stand for, however often it was written within JSON.
    """
    forms = {'"': r'\\*"', "\\": r"\\+"}
    escaped = "".join(forms.get(character, re.escape(character)) for character in user)
    word = re.compile(rf"(?<![\w-]){escaped}(?![\w-])")

    def count(cell: object) -> int:
        if isinstance(cell, bytes):
            cell = _unpacked(cell).decode("utf-8", "replace")
        return len(word.findall(_plain(str(cell))))

    return count


def _unpacked(raw: bytes) -> bytes:
    """What zlib or gzip compressed, also in parts or where it was cut; all else as it is."""
    parts, left = [], raw
    while left:
        unpacking = zlib.decompressobj(wbits=47)
        try:
            parts.append(unpacking.decompress(left))
        except zlib.error:
            break
        left = unpacking.unused_data
    return b"".join(parts) if any(parts) else raw


def _plain(text: str) -> str:
    if "\\u" not in text:
        return text
    told = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
    return _PAIRS.sub(lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), told)
