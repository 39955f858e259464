"""Who stands behind pseudonyms: an encrypted map beside the store, which serves publishing.

Each id is encrypted by AES-GCM, bound to its pseudonym. What is deleted is overwritten.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa

from llmrec_assets.core.pseudonyms import Pseudonyms
from llmrec_assets.layout import Layout
from llmrec_assets.settings import PREFIX, SettingError, secret

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY = "PSEUDONYM_KEY"
_NONCE_BYTES = 12
_CHECK = "s1_raw_events.pseudonym_key"
_NAMES = f"{PREFIX}{KEY} or {PREFIX}{KEY}_FILE"


class People:
    """The users of one store, whose tables know them by pseudonyms."""

    def __init__(self, path: Path, names: Pseudonyms) -> None:
        self.path, self.names = path, names

    @classmethod
    def of(cls, layout: Layout) -> "People | None":
        """Those of a root; None where no key is set.

        Raises:
            SettingError: the key cannot be had, or is too short.
        """
        key = secret(KEY)
        if not key:
            return None
        try:
            return cls(layout.pseudonyms, Pseudonyms(key))
        except ValueError as error:
            raise SettingError(f"{PREFIX}{KEY}: {error}") from error

    def register(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Let SQL call `llmrec_pseudonym(id)` and `llmrec_remember(pseudonym, id)`."""

        def pseudonym(ids: pa.ChunkedArray) -> pa.Array:
            return pa.array(self.names.of_all(ids.to_pylist()), pa.string())

        def remember(pseudonyms: pa.ChunkedArray, ids: pa.ChunkedArray) -> pa.Array:
            self.remember(zip(pseudonyms.to_pylist(), ids.to_pylist(), strict=True))
            return pa.array([True] * len(ids))

        create = connection.create_function
        create("llmrec_pseudonym", pseudonym, ["VARCHAR"], "VARCHAR", type="arrow")  # pyright: ignore
        create(
            "llmrec_remember", remember, ["VARCHAR", "VARCHAR"], "BOOLEAN",  # pyright: ignore
            type="arrow", side_effects=True,  # pyright: ignore
        )  # fmt: skip

    def remember(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Keep which id each pseudonym stands for; what is known stays."""
        with self._open() as connection:
            rows = ((name, self._sealed(name, user)) for name, user in pairs)
            connection.executemany("insert or ignore into names values (?, ?)", rows)

    def ids(self, pseudonyms: Iterable[str]) -> dict[str, str]:
        """Pseudonym → id, of those that are known."""
        if not self.path.exists():
            return {}
        found = {}
        with self._open() as connection:
            for name in pseudonyms:
                query = "select sealed from names where pseudonym = ?"
                if row := connection.execute(query, [name]).fetchone():
                    found[name] = self._opened(name, row[0])
        return found

    def forget(self, pseudonym: str) -> None:
        """Let nothing tell who it was."""
        if self.path.exists():
            with self._open() as connection:
                connection.execute("delete from names where pseudonym = ?", [pseudonym])

    def keep_only(self, pseudonyms: Iterable[str]) -> None:
        """Forget all others."""
        if not self.path.exists():
            return
        with self._open() as connection:
            connection.execute("create temp table kept (pseudonym text primary key)")
            rows = ((name,) for name in pseudonyms)
            connection.executemany("insert or ignore into kept values (?)", rows)
            connection.execute("delete from names where pseudonym not in (select * from kept)")

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        if not self.path.exists():
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        with closing(sqlite3.connect(self.path, timeout=60)) as connection:
            connection.execute("pragma secure_delete = on")
            connection.execute("pragma temp_store = memory")
            connection.execute(
                "create table if not exists names (pseudonym text primary key, sealed blob)"
                " without rowid"
            )
            with connection:
                yield connection

    @cached_property
    def _cipher(self) -> "AESGCM":
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(self.names.map_key)

    def _sealed(self, pseudonym: str, user: str) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, user.encode(), pseudonym.encode())

    def _opened(self, pseudonym: str, sealed: bytes) -> str:
        nonce, text = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        return self._cipher.decrypt(nonce, text, pseudonym.encode()).decode()


def agree(connection: duckdb.DuckDBPyConnection, people: People | None) -> None:
    """Hold a store to the key, or to none, that its first users came in with.

    Raises:
        SettingError: another one is set; nothing was read or written.
    """
    stored = _stored_check(connection)
    if stored is None and people is not None:
        if _has_users(connection):
            raise SettingError(
                f"{PREFIX}{KEY} is set, but this store knows its users by their ids: unset it, or"
                " begin a new store (LLMREC_DATA_DIR) from the same landing files"
            )
        connection.execute(
            "create schema if not exists s1_raw_events;"
            f" create table {_CHECK} as select ? as value",
            [people.names.check],
        )
    elif stored is not None and people is None:
        raise SettingError(f"this store knows its users by pseudonyms: set {_NAMES} as it was")
    elif people is not None and stored != people.names.check:
        raise SettingError(
            f"{PREFIX}{KEY} is not the key of this store: set the one that it began with, or begin"
            " a new store (LLMREC_DATA_DIR) from the same landing files"
        )


def _stored_check(connection: duckdb.DuckDBPyConnection) -> str | None:
    if not _is_there(connection, _CHECK):
        return None
    return connection.execute(f"select value from {_CHECK}").fetchall()[0][0]


def _has_users(connection: duckdb.DuckDBPyConnection) -> bool:
    tables = ("s1_raw_events.raw_events", "s7_feedback.feedback", "s7_feedback.served_lists")
    return any(
        connection.execute(f"select 1 from {table} limit 1").fetchall()
        for table in tables
        if _is_there(connection, table)
    )


def _is_there(connection: duckdb.DuckDBPyConnection, table: str) -> bool:
    query = "select 1 from duckdb_tables() where schema_name = ? and table_name = ?"
    return bool(connection.execute(query, table.split(".")).fetchall())
