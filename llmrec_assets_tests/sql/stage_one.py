"""Stage 1 in memory, and the files that came to it."""

import hashlib
from pathlib import Path

import duckdb

from llmrec_assets.sql import s1_files, s1_retracted_items, s1_retractions
from llmrec_assets.sql.s1_raw_events import take_events
from llmrec_assets.sql.s1_raw_items import take_items
from llmrec_assets.sql.s1_tables import RETURNED_FILE

EVENTS = "event_id, user_id, item_id, step, behavior, rating, caused_by, own_event_id, line"


class Store:
    """One store; a file comes by `take`, and goes by `retract`."""

    def __init__(self, folder: Path, kind: s1_files.Kind = "events") -> None:
        self.folder, self.kind, self.landed = folder, kind, {}
        self.connection = duckdb.connect()
        s1_files.create_tables(self.connection)

    def take(self, name, content):
        path = self.folder / name
        path.write_text(content)
        content_hash = hashlib.sha256(content.encode()).hexdigest()
        if name == "returned":
            path = path.rename(self.folder / RETURNED_FILE.format(content_hash))
        if s1_files.is_known(self.connection, self.kind, content_hash):
            return content_hash
        self.landed[content_hash] = path
        arrival = s1_files.Arrival.now(self.kind, path, content_hash)
        take = take_events if self.kind == "events" else take_items
        s1_files.ingest(self.connection, arrival, take)
        return content_hash

    def retract(self, content_hash):
        how = s1_retractions if self.kind == "events" else s1_retracted_items
        return how.retract(self.connection, content_hash, self.landed)

    def rows(self, query):
        return self.connection.execute(query).fetchall()

    def last_seq(self):
        return s1_files.last_seq(self.connection, self.kind)

    def numbers(self):
        return [seq for (seq,) in self.rows(f"select seq from s1_raw_events.raw_{self.kind}")]

    def state(self, without):
        """What is stored, ledger and refusals, all but numbers of order and the file `without`."""
        stored = (
            f"select {EVENTS}, file_hash from s1_raw_events.raw_events order by event_id"
            if self.kind == "events"
            else "select * exclude (seq) from s1_raw_events.raw_items order by item_id"
        )
        return (
            self.rows(stored),
            self.rows(
                f"""select content_hash, rows, accepted, duplicates, rejected
                from s1_raw_events.files where content_hash <> '{without}' order by all"""
            ),
            self.rows(
                """select file_hash, line, reason, row from s1_raw_events.rejected_events
                order by all"""
            ),
            self.rows("from s1_raw_events.repairs order by all"),
        )
