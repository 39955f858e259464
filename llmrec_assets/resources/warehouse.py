"""The DuckDB file every stage reads and writes."""

import random
import re
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import duckdb
import pandas as pd
import pyarrow as pa
from pydantic import Field

from llmrec_assets.core.plain_errors import without_values
from llmrec_assets.layout import Layout
from llmrec_assets.resources import duckdb_limits, text_scrubber
from llmrec_assets.resources.people import People, agree
from llmrec_assets.resources.whole_file import make_once

# How DuckDB words that a file is not as it was written.
DAMAGE = re.compile(
    r"checksum|corrupt|not a valid DuckDB|replaying WAL|enough bytes|deserialize|invalidated",
    re.IGNORECASE,
)
RESTORE = (
    "llmrec restore a backup; or move the file away and llmrec run: landing/ has all events, but"
    " decisions, lists and feedback's ledger begin anew"
)
MOVE_LOG = "move it away and run again: what it held of the last run is done once more"


_migrating = threading.Lock()
_up_to_date: set[tuple[str, int]] = set()  # (path, inode): an erasure replaces the file
# Errors that quote rows; others quote names of tables and files, which help.
_OF_VALUES = (duckdb.DataError, duckdb.IntegrityError, duckdb.InvalidInputException)


class WarehouseBusy(Exception):
    """Another process held the DuckDB file for longer than the wait allowed."""


class WarehouseDamaged(Exception):
    """The DuckDB file, or the log beside it, is not as DuckDB wrote it."""


class Warehouse(dg.ConfigurableResource):
    """Short connections to one DuckDB file.

    DuckDB lets one process write, or many read, never both. So a stage connects, moves data and
    disconnects before it computes; a connection that finds the file taken waits for it.
    """

    path: str = Field(description="The DuckDB file; made when missing.")
    wait_seconds: float = Field(default=120.0, description="How long to wait for the file lock.")

    @property
    def people(self) -> People | None:
        """Who stands behind the pseudonyms of the tables; None where they hold ids as given."""
        return People.of(Layout(Path(self.path).parent))

    def known_as(self, user: str) -> str:
        """What the tables know a user by."""
        return user if (people := self.people) is None else people.names.of(user)

    @contextmanager
    def connect(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a connection inside one transaction: all of it is kept, or none.

        Raises:
            WarehouseBusy: another process held the file for longer than `wait_seconds`.
            SettingError: the store began with another key of pseudonyms, or with none, or a setting
                of how text is scrubbed is none.
            WarehouseDamaged: the file cannot be read; the message says how to mend it.
            NewerStore: a newer version of this code wrote it.
            duckdb.Error: what a statement failed with, without the values that it quotes.
        """
        people = self.people
        make_once(Path(self.path), lambda new: duckdb.connect(str(new)).close())
        with self._damage_named():
            connection = self._open()
            try:
                connection.execute("set timezone = 'UTC'")
                connection.execute("set enable_progress_bar = false")
                duckdb_limits.limit(connection)
                self._bring_up_to_date(connection)
                agree(connection, people)
                if people is not None:
                    people.register(connection)
                text_scrubber.register(connection)
                connection.begin()
                yield connection
                connection.commit()
            except _OF_VALUES as error:
                raise type(error)(without_values(str(error))) from None
            finally:
                connection.close()  # an open transaction is rolled back

    def _bring_up_to_date(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Migrate the tables of an older version, once a process and file.

        Other processes wait for the file meanwhile, other threads for the lock.
        """
        from llmrec_assets.sql.migrations import migrate

        with _migrating:
            found = Path(self.path).stat()
            if (mark := (self.path, found.st_ino)) in _up_to_date:
                return
            connection.begin()
            done = migrate(connection)
            connection.commit()
            if done:
                dg.get_dagster_logger().info(f"the store was brought up to date: {'; '.join(done)}")
            _up_to_date.add(mark)

    @contextmanager
    def _damage_named(self) -> Iterator[None]:
        """DuckDB takes an empty file for a new one, and names no file when a checksum is wrong."""
        path = Path(self.path)
        if not path.stat().st_size:
            raise WarehouseDamaged(f"{path} is empty → {RESTORE}")
        try:
            yield
        except duckdb.Error as error:
            if not DAMAGE.search(text := str(error)):
                raise
            log = path.with_name(f"{path.name}.wal")
            where, remedy = (log, MOVE_LOG) if "WAL" in text and log.exists() else (path, RESTORE)
            raise WarehouseDamaged(f"{where} is damaged ({text.splitlines()[0]}) → {remedy}") from (
                error
            )

    def read(self, query: str, parameters: Sequence[object] = ()) -> pd.DataFrame:
        """The rows of `query` as a frame."""
        with self.connect() as connection:
            return connection.execute(query, list(parameters)).df()

    def read_arrow(self, query: str, parameters: Sequence[object] = ()) -> pa.Table:
        """The rows of `query` as an Arrow table."""
        with self.connect() as connection:
            return connection.sql(query, params=list(parameters)).to_arrow_table()

    def exists(self, table: str) -> bool:
        """Whether `table`, written `schema.name`, is there."""
        query = "select 1 from information_schema.tables where table_schema = ? and table_name = ?"
        return not self.read(query, table.split(".")).empty

    def _open(self) -> duckdb.DuckDBPyConnection:
        deadline = time.monotonic() + self.wait_seconds
        pause = 0.02
        while True:
            try:
                return duckdb.connect(self.path)
            except duckdb.IOException as error:
                if "set lock" not in str(error):
                    raise
                if time.monotonic() > deadline:
                    raise WarehouseBusy(
                        f"{self.path} was in use for {self.wait_seconds:g} s; close the program"
                        f" that holds it open and try again ({error})"
                    ) from error
            time.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(pause * 1.6, 0.5)
