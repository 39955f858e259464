"""Where a store names a user: every file is read as what it is."""

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import duckdb

from llmrec_assets.layout import Layout
from llmrec_assets.sql import persons
from llmrec_assets.sql.landing_lines import open_bytes

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".zip")
_LEAST = 6  # characters of an id that is searched for in any text, not in columns of users alone


def is_telling(user: str) -> bool:
    """Whether the id is so long that a text that holds it means this user."""
    return len(user) >= _LEAST


def find_user(layout: Layout, user: str) -> dict[str, int]:
    """Place → how often it names the user; empty where the store knows nothing of it.

    A short id, such as 17, is looked for where ids of users stand; a longer one in every text.
    """
    found: dict[str, int] = {}
    for path in sorted(p for p in layout.root.rglob("*") if p.is_file()):
        if path.name.endswith(ARCHIVES):
            continue
        name = str(path.relative_to(layout.root))
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
    with path.open("rb") as file:
        head = file.read(16)
    if path.suffix == ".duckdb":
        yield from _in_duckdb(path, user)
    elif head[:4] == b"PAR1":
        yield from _in_parquet(path, user)
    elif head.startswith(b"SQLite format 3"):
        yield from _in_sqlite(path, user)
    else:
        yield from _in_bytes(path, user)


def _in_duckdb(path: Path, user: str) -> Iterator[tuple[str, int]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        yield from persons.mentions(connection, user, is_telling(user)).items()


def _in_parquet(path: Path, user: str) -> Iterator[tuple[str, int]]:
    with duckdb.connect(":memory:") as connection:
        connection.execute("create table file as from read_parquet(?)", [str(path)])
        yield from persons.mentions(connection, user, is_telling(user)).items()


def _in_sqlite(path: Path, user: str) -> Iterator[tuple[str, int]]:
    if not is_telling(user):
        return
    word = re.compile(persons.as_word(user).replace(r"\pL\pN_", r"\w"))
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        connection.create_function("names", 1, lambda text: bool(word.search(str(text))))
        tables = connection.execute("select name from sqlite_master where type = 'table'")
        for (table,) in tables.fetchall():
            for _, column, *_ in connection.execute(f'pragma table_info("{table}")').fetchall():
                told = f'"{column}" is not null and names("{column}")'
                query = f'select count(*) from "{table}" where {told}'
                if rows := connection.execute(query).fetchone()[0]:
                    yield f"{table}.{column}", rows


def _in_bytes(path: Path, user: str) -> Iterator[tuple[str, int]]:
    """Text, JSON, logs and arrays: the id, also as JSON escapes it."""
    if not is_telling(user):
        return
    forms = {user, json.dumps(user)[1:-1]}
    pattern = b"|".join(rb"(?<![\w-])" + re.escape(form.encode()) + rb"(?![\w-])" for form in forms)
    with open_bytes(path) as file:
        if count := len(re.findall(pattern, file.read())):
            yield "", count
