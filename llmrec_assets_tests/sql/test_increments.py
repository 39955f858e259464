"""Tables that were brought up to date, file by file, are those of a rebuild from nothing."""

import json

import duckdb
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmrec_assets.core.behaviors import Behavior
from llmrec_assets.sql import (
    builds,
    persons,
    s1_files,
    s2_sequences,
    s2_statistics,
    s2_tables,
    s3_embeddings,
    s4_features,
    s4_tables,
)
from llmrec_assets.sql.s1_raw_items import take_items
from llmrec_assets.sql.s1_tables import TABLES
from llmrec_assets.sql.training_data import load
from llmrec_assets_tests.sql.test_s1_retractions import HEADER, Store, csv

BEHAVIORS = {"buy": Behavior(weight=2), "skip": Behavior(positive=False)}
CLEANED = (s2_tables.CLEAN_EVENTS, s2_tables.REMOVED_EVENTS)
DERIVED = (
    *CLEANED,
    s2_tables.ITEM_TEXTS,
    s2_tables.EVENT_DETAILS,
    s2_tables.STEP_TEXTS,
    s2_tables.HISTORY_TEXTS,
    s2_tables.USER_SEQUENCES,
    s3_embeddings.TEXT_FEATURES,
    s4_tables.TEMPORAL_FEATURES,
    s4_tables.FUSED_FEATURES,
    s4_tables.USERS,
    s4_tables.ITEMS,
    s4_tables.BEHAVIORS,
    s4_tables.STEP_ROWS,
    s4_tables.HISTORY_ROWS,
)
RULES = {"earliest": "1990-01-01", "bot_events_per_day": 4, "k_core": 0,
         "outlier_deviations": 1.5, "caused_weight": 0.5, "drop_bots": False}  # fmt: skip


class Pipeline(Store):
    """Stages 1 to 4 in memory, by the functions that the assets call."""

    def __init__(self, folder, rules=None, reading=None):
        super().__init__(folder)
        self.rules = RULES | (rules or {})
        self.reading = {"history_length": 3, "description_characters": 9} | (reading or {})
        self.statistics, self.n = "", 0

    def events(self, rows):
        self.n += 1
        return self.take(f"{self.n}.csv", csv(rows))

    def returned(self, row):
        names = HEADER.strip().split(",")
        kept = {name: value for name, value in zip(names, row, strict=True) if value != ""}
        return self.take("returned", json.dumps(kept | {"behavior": "buy"}) + "\n")

    def items(self, rows):
        self.n += 1
        path = self.folder / f"items{self.n}.csv"
        path.write_text("item_id,title,description\n" + "".join(f"{i},{t},\n" for i, t in rows))
        arrival = s1_files.Arrival.now("items", path, f"items {self.n}")
        s1_files.ingest(self.connection, arrival, take_items)

    def clean(self):
        s2_sequences.register_words(self.connection, BEHAVIORS, "en")
        self.statistics = s2_sequences.clean(self.connection, **self.rules)

    def build(self):
        self.clean()
        s2_sequences.build_sequences(self.connection, "en", **self.reading)
        s3_embeddings.publish(self.connection, {"none": "none"}, 0)
        s4_features.build_temporal(self.connection)
        s4_features.build_fused(self.connection)

    def again(self):
        """The same raw events and items in a store in which nothing was built yet."""
        other = Pipeline(self.folder, self.rules, self.reading)
        for table in TABLES:
            rows = self.connection.sql(f"from {table.full_name}").to_arrow_table()
            other.connection.register("rows", rows)
            table.insert(other.connection, "from rows")
        return other

    def tables(self, which=DERIVED):
        return {
            table.name: self.rows(f"select {table.column_names} from {table.full_name} order by all")
            for table in which
        } | {
            "value_statistics": self.rows(
                f"""select * exclude (computed_at) from s2_sequences.value_statistics
                where version = '{self.statistics}' order by all"""
            )
        }

    def fingerprint(self):
        none = (np.zeros(0, np.int64), np.zeros(0, np.int32))
        return load(
            self.connection, np.zeros((0, 4)), none, fit="evaluation",
            statistics_version=self.statistics,
        ).fingerprint  # fmt: skip

    def how(self, table=s2_tables.CLEAN_EVENTS):
        return builds.metadata(self.connection, table)


def assert_equal_to_a_rebuild(store):
    fresh = store.again()
    fresh.build()
    found, wanted = store.tables(), fresh.tables()
    for name, rows in wanted.items():
        assert found[name] == rows, name
    assert store.fingerprint() == fresh.fingerprint()
    assert s2_statistics.newest_statistics(store.connection) == store.statistics


TIMES = {
    "absolute": [f"2024-01-0{day}T0{hour}:00:00Z" for day in (1, 2, 3) for hour in (1, 4)],
    "relative": ["1", "2", "3", "4"],
}


def files_of(times):
    """Events whose ids come again, now and then with other content or a cause."""
    row = st.tuples(
        st.sampled_from([*(f"e{n}" for n in range(9)), *[""] * 9]),
        st.sampled_from(["u1", "u2", "u3", "u4"]),
        st.sampled_from(["i1", "i2", "i3"]),
        st.sampled_from(times),
        st.sampled_from(["buy", "view", "skip", "impression"]),
        st.sampled_from(["", "1", "5", "90"]),
        st.sampled_from(["", "", "l1"]),
    )
    items = st.tuples(st.sampled_from(["i1", "i2", "i4"]), st.sampled_from(["A", "B", ""]))
    return st.one_of(
        st.tuples(st.just("events"), st.lists(row, min_size=1, max_size=7)),
        st.tuples(st.just("events"), st.lists(row, min_size=1, max_size=7)),
        st.tuples(st.just("returned"), row),
        st.tuples(st.just("items"), st.lists(items, min_size=1, max_size=3)),
        st.tuples(st.just("retract"), st.integers(0, 9)),
        st.tuples(st.just("clean"), st.none()),
        st.tuples(st.just("erase"), st.sampled_from(["u1", "u2"])),
    )


STEPS = st.sampled_from(list(TIMES)).flatmap(
    lambda kind: st.lists(files_of(TIMES[kind]), min_size=2, max_size=6)
)


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    steps=STEPS,
    rules=st.fixed_dictionaries({"drop_bots": st.booleans()}),
    reading=st.fixed_dictionaries(
        {"history_texts": st.booleans(), "step_details": st.sampled_from([False, False, True])}
    ),
)
def test_every_table_is_that_of_a_rebuild_after_every_file(tmp_path_factory, steps, rules, reading):
    store = Pipeline(tmp_path_factory.mktemp("files"), rules, reading)
    came = []
    for kind, content in steps:
        if kind == "events":
            came.append(store.events(content))
        elif kind == "returned":
            store.returned(content)
        elif kind == "items":
            store.items(content)
        elif kind == "retract" and came:
            store.retract(came.pop(content % len(came)))
        elif kind == "erase":
            persons.forget_user(store.connection, content)
        elif kind == "clean":  # what comes after is behind by a build
            store.clean()
            continue
        store.build()
        assert_equal_to_a_rebuild(store)
