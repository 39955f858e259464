"""A batch that was taken back: the tables are those of a store to which it never came."""

import hashlib
import json

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmrec_assets.sql import s1_files, s1_retractions
from llmrec_assets.sql.s1_raw_events import take_events
from llmrec_assets.sql.s1_tables import RETURNED_FILE

HEADER = "event_id,user_id,item_id,timestamp,behavior,rating,caused_by\n"
STORED = "event_id, user_id, item_id, step, behavior, rating, caused_by, own_event_id, line"


class Store:
    """Stage 1 in memory, and the files that came to it."""

    def __init__(self, folder):
        self.folder, self.landed = folder, {}
        self.connection = duckdb.connect()
        s1_files.create_tables(self.connection)

    def take(self, name, content):
        path = self.folder / name
        path.write_text(content)
        content_hash = hashlib.sha256(content.encode()).hexdigest()
        if name == "returned":
            path = path.rename(self.folder / RETURNED_FILE.format(content_hash))
        if s1_files.is_known(self.connection, "events", content_hash):
            return content_hash
        self.landed[content_hash] = path
        arrival = s1_files.Arrival.now("events", path, content_hash)
        s1_files.ingest(self.connection, arrival, take_events)
        return content_hash

    def retract(self, content_hash):
        return s1_retractions.retract(self.connection, content_hash, self.landed)

    def rows(self, query):
        return self.connection.execute(query).fetchall()

    def state(self, without):
        """Events, ledger and refusals, all but numbers of order and the file `without`."""
        return (
            self.rows(
                f"select {STORED}, file_hash from s1_raw_events.raw_events order by event_id"
            ),
            self.rows(
                f"""select content_hash, rows, accepted, duplicates, rejected
                from s1_raw_events.files where content_hash <> '{without}' order by all"""
            ),
            self.rows(
                """select file_hash, line, reason, row from s1_raw_events.rejected_events
                order by all"""
            ),
        )


def csv(rows):
    return HEADER + "".join(",".join(map(str, row)) + "\n" for row in rows)


ROW = st.tuples(
    st.sampled_from(["e1", "e2", "e3", "e4", ""]),
    st.sampled_from(["u1", "u2"]),
    st.sampled_from(["i1", "no item\x00", "i2"]),
    st.sampled_from(["1", "2", "soon"]),
    st.just("view"),
    st.sampled_from(["", "1", "x"]),
    st.sampled_from(["", "l1", "l2"]),
)
FILE = st.lists(ROW, min_size=1, max_size=6).map(csv)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(files=st.lists(FILE, min_size=2, max_size=4, unique=True), which=st.integers(0, 3))
def test_it_is_as_if_the_file_had_never_come(tmp_path, files, which):
    which %= len(files)
    store, pure = Store(tmp_path), Store(tmp_path)
    hashes = [store.take(f"{place}.csv", content) for place, content in enumerate(files)]
    for place, content in enumerate(files):
        if place != which:
            pure.take(f"{place}.csv", content)
    before = s1_files.last_seq(store.connection, "events")
    gone, restored = store.retract(hashes[which])
    assert store.state(hashes[which]) == pure.state(hashes[which])
    assert gone >= restored
    numbers = [seq for (seq,) in store.rows("select seq from s1_raw_events.raw_events")]
    assert len(numbers) == len(set(numbers))
    assert s1_files.last_seq(store.connection, "events") >= max([before, *numbers])
    store.take(f"{which}.csv", files[which])
    assert store.state(hashes[which]) == pure.state(hashes[which]), "it never comes in again"


def test_what_feedback_returned_stands_in_again(tmp_path):
    store, pure = Store(tmp_path), Store(tmp_path)
    thin = {"event_id": "e1", "user_id": "u1", "item_id": "i1", "timestamp": 3, "behavior": "click",
            "caused_by": "l1"}  # fmt: skip
    for each in (store, pure):
        each.take("returned", json.dumps(thin) + "\n")
    batch = store.take("a.csv", csv([("e1", "u1", "i1", 3, "click", 5, "")]))
    assert store.rows("select rating, caused_by from s1_raw_events.raw_events") == [(5.0, "l1")]
    assert store.retract(batch) == (1, 1)
    assert store.state(batch) == pure.state(batch)


def test_a_batch_is_named_by_file_or_hash(tmp_path):
    store = Store(tmp_path)
    first = store.take("a.csv", csv([("e1", "u1", "i1", 1, "view", "", "")]))
    second = store.take("a.csv", csv([("e2", "u1", "i1", 1, "view", "", "")]))
    find = s1_retractions.find_file
    assert find(store.connection, second[:8]) == (second, "a.csv")
    with pytest.raises(s1_retractions.UnknownFile, match=rf"more than once(.|\n)*{first}"):
        find(store.connection, "a.csv")
    with pytest.raises(s1_retractions.UnknownFile, match=r"no file of events 'b.csv'.*a\.csv"):
        find(store.connection, "b.csv")
    store.landed.clear()  # the landing zone was emptied
    assert s1_retractions.not_landed(store.connection, first, {}) == []
    store.retract(first)
    assert find(store.connection, "a.csv") == (second, "a.csv"), "what is taken back is no more"
