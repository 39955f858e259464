"""Tables that were brought up to date, file by file, are those of a rebuild from nothing."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmrec_assets.core.behaviors import Behavior
from llmrec_assets.sql import (
    builds,
    increments,
    persons,
    s1_files,
    s2_clean_events,
    s2_sequences,
    s2_statistics,
    s2_tables,
    s2_words,
    s3_embeddings,
    s4_features,
    s4_tables,
)
from llmrec_assets.sql.fingerprints import fingerprint
from llmrec_assets.sql.s1_raw_items import take_items
from llmrec_assets.sql.s1_tables import TABLES
from llmrec_assets.sql.shards import InPlace
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
FOLLOWING = (s2_tables.USER_SEQUENCES, s4_tables.TEMPORAL_FEATURES, s4_tables.FUSED_FEATURES)
RULES = {"earliest": "1990-01-01", "bot_events_per_day": 4, "k_core": 0,
         "outlier_deviations": 1.5, "caused_weight": 0.5, "drop_bots": False}  # fmt: skip


class Pipeline(Store):
    """Stages 1 to 4 in memory, by the functions that the assets call."""

    def __init__(self, folder, rules=None, reading=None, shard_count=1):
        super().__init__(folder)
        self.connection.execute("set threads = 1")  # of so few rows
        self.shards = {"fill": InPlace(shard_count)}
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
        s2_words.register_words(self.connection, BEHAVIORS, "en")
        self.statistics = s2_clean_events.clean(self.connection, **self.rules, **self.shards)

    def build(self):
        self.clean()
        s2_sequences.build_sequences(self.connection, "en", **self.reading, **self.shards)
        s3_embeddings.publish(self.connection, {"none": "none"}, 0)
        self.follow()
        s4_features.build_fused(self.connection)

    def follow(self, rebuild=False):
        s4_features.build_temporal(self.connection, rebuild)

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
            table.name: self.rows(
                f"select {table.column_names} from {table.full_name} order by all"
            )
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


def assert_fingerprints_are_those_of_the_tables(store):
    for table in (s2_tables.CLEAN_EVENTS, *FOLLOWING):
        kept = builds.last_build(store.connection, table).content
        assert kept == fingerprint(store.connection, table), table.name


def assert_equal_to_a_rebuild(store):
    assert_fingerprints_are_those_of_the_tables(store)
    fresh = store.again()
    fresh.build()
    found, wanted = store.tables(), fresh.tables()
    for name, rows in wanted.items():
        assert found[name] == rows, name
    assert store.fingerprint() == fresh.fingerprint()
    assert s2_statistics.newest_statistics(store.connection) == store.statistics


TIMES = {
    "absolute": [
        f"2024-01-0{day}T0{hour}:00:00{part}Z"
        for day in (1, 2, 3)
        for hour, part in ((1, ""), (1, ".000001"), (4, ""))
    ],
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
        st.tuples(st.just("follow"), st.booleans()),
        st.tuples(st.just("erase"), st.sampled_from(["u1", "u2"])),
    )


STEPS = st.sampled_from(list(TIMES)).flatmap(
    lambda kind: st.lists(files_of(TIMES[kind]), min_size=2, max_size=6)
)


@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    steps=STEPS,
    shard_count=st.sampled_from([1, 3]),
    rules=st.fixed_dictionaries({"drop_bots": st.booleans()}),
    reading=st.fixed_dictionaries(
        {"history_texts": st.booleans(), "step_details": st.sampled_from([False, False, True])}
    ),
)
def test_every_table_is_that_of_a_rebuild_after_every_file(
    tmp_path_factory, steps, shard_count, rules, reading
):
    store = Pipeline(tmp_path_factory.mktemp("files"), rules, reading, shard_count)
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
        elif kind == "follow":  # fused_features alone is
            store.clean()
            store.follow(rebuild=content)
            continue
        store.build()
        assert_equal_to_a_rebuild(store)


DAY_ONE = [
    ("e1", "u1", "i1", "1", "buy", "1", ""),
    ("e2", "u1", "i2", "2", "view", "1", ""),
    ("e3", "u2", "i1", "1", "view", "1", ""),
    ("e4", "u3", "i2", "1", "view", "5", ""),
]


@pytest.fixture
def built(tmp_path):
    """A store whose tables are up to date with a first file."""
    store = Pipeline(tmp_path)
    store.events(DAY_ONE)
    store.build()
    assert store.how()["build"] == "full: first build"
    return store


def test_only_the_users_of_a_file_are_made_anew(built):
    built.events([("e9", "u1", "i3", "9", "buy", "", "")])
    built.build()
    assert built.how() == {"build": "increment", "rows_recomputed": 3, "users_touched": 1}
    rows = [built.how(table)["rows_recomputed"] for table in FOLLOWING]
    assert rows == [1, 3, 3], "one sequence, three events"
    assert_equal_to_a_rebuild(built)


def test_without_news_nothing_is_made_anew(built):
    number = "select number from s2_sequences.builds where table_name = 'clean_events'"
    before = built.rows(number)
    built.build()
    for table in (s2_tables.CLEAN_EVENTS, *FOLLOWING):
        assert built.how(table) == {"build": "increment", "rows_recomputed": 0, "users_touched": 0}
    assert built.rows(number) == before


@pytest.fixture
def late(tmp_path):
    """A store that was built of two users' events; one that lies between them came in since."""
    store = Pipeline(tmp_path)
    store.events([("e1", "u1", "i1", "2024-01-05", "buy", "", ""),
                  ("e2", "u2", "i1", "2024-01-07", "buy", "", "")])  # fmt: skip
    store.build()
    store.events([("e3", "u3", "i1", "2024-01-06", "buy", "", "")])
    return store


def test_a_late_event_revises_what_others_saw_of_its_item(late):
    late.build()
    assert late.how(s4_tables.TEMPORAL_FEATURES)["rows_recomputed"] == 2
    popularity = "select item_popularity from s4_features.temporal_features order by seq"
    assert late.rows(popularity) == [(0,), (2,), (1,)]
    assert_equal_to_a_rebuild(late)


def test_where_temporal_features_were_made_anew_fused_ones_are_too(late):
    """Nobody left word then of the others' rows that the late event changed."""
    late.clean()
    late.follow(rebuild=True)
    late.build()
    assert late.how(s4_tables.FUSED_FEATURES)["build"] == f"full: {builds.BEHIND}"
    assert_equal_to_a_rebuild(late)


def test_new_statistics_judge_the_values_of_others_too(tmp_path):
    store = Pipeline(tmp_path, {"outlier_deviations": 1.2})
    wild = ("wild", "u", "i1", "1", "view", "5", "")
    after = [(f"a{t}", "u", "i1", str(t), "buy", "", "") for t in (2, 3)]

    def crowd(name, rating):
        users = [f"{name}{n}" for n in range(8)]
        return [("", user, "i1", str(t), "view", rating, "") for user in users for t in (1, 2, 3)]

    outliers = "select event_id from s2_sequences.clean_events where is_outlier"
    store.events([wild, *after, *crowd("v", "1")])
    store.build()
    assert store.rows(outliers) == [("wild",)]
    store.events(crowd("w", "5"))
    store.build()
    assert store.how()["build"] == "increment"
    assert store.rows(outliers) == []
    touched = store.rows("select user_id from s2_sequences.touched_users")
    assert {user for (user,) in touched} == {"u", *(f"w{n}" for n in range(8))}
    assert_equal_to_a_rebuild(store)


def test_a_retracted_file_touches_its_users_alone(built):
    second = built.events([("e9", "u2", "i1", "4", "buy", "", "")])
    built.build()
    built.retract(second)
    built.build()
    assert built.how() == {"build": "increment", "rows_recomputed": 1, "users_touched": 1}
    assert_equal_to_a_rebuild(built)


def test_a_new_title_touches_who_has_the_item(built):
    built.items([("i2", "Two")])
    built.build()
    built.items([("i2", "Second")])
    built.build()
    assert built.how(s2_tables.USER_SEQUENCES)["users_touched"] == 2
    assert built.how(s4_tables.TEMPORAL_FEATURES)["rows_recomputed"] == 0
    assert_equal_to_a_rebuild(built)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda store: store.rules.update(bot_events_per_day=1), builds.SETTINGS),
        (lambda store: store.rules.update(rebuild=True), builds.ASKED),
        (lambda store: store.rules.update(k_core=2), builds.SETTINGS),
        (lambda store: store.rows("delete from s2_sequences.clean_events where seq = 1"),
         builds.OUTSIDE),
        (lambda store: persons.forget_user(store.connection, "u1"), builds.OUTSIDE),
        (lambda store: store.rows("drop table s2_sequences.clean_events"), builds.FIRST),
    ],
)  # fmt: skip
def test_what_else_changes_rows_makes_everything_anew(built, change, reason):
    change(built)
    built.build()
    assert built.how()["build"] == f"full: {reason}"
    for table in FOLLOWING:
        assert str(built.how(table)["build"]).startswith("full: "), table.name
    built.rules.pop("rebuild", None)
    assert_equal_to_a_rebuild(built)


def test_a_k_core_depends_on_everybody(built):
    built.rules["k_core"] = 2
    for _ in range(2):
        built.build()
    assert built.how()["build"] == "full: a k-core depends on all users"


def test_who_is_many_builds_behind_is_built_whole(built, monkeypatch):
    monkeypatch.setattr(increments, "BUILDS_KEPT", 3)
    for number in range(4):
        built.events([(f"n{number}", "u1", "i1", "7", "buy", "", "")])
        built.clean()
    for words in (s2_tables.TOUCHED_USERS, s2_tables.MOVED_EVENTS, s2_tables.CHANGED_EVENTS):
        assert built.rows(f"select count(distinct build) from {words.full_name}") == [(3,)]
    built.build()
    assert built.how()["rows_recomputed"] == 0
    assert built.how(s4_tables.TEMPORAL_FEATURES)["build"] == f"full: {builds.BEHIND}"
    assert_equal_to_a_rebuild(built)


def test_nothing_is_left_of_events_that_went_once_it_is_forgotten(built):
    built.rows("delete from s1_raw_events.raw_events where event_id = 'e1'")
    built.build()
    gone = "select user_id, item_id from s2_sequences.moved_events where gone"
    assert built.rows(gone) == [("u1", "i1")]
    increments.forget_words_so_far(built.connection)
    assert built.rows(gone) == built.rows("from s2_sequences.touched_users") == []
    built.events([("e9", "u2", "i1", "4", "buy", "", "")])
    built.build()
    for table in (s2_tables.CLEAN_EVENTS, *FOLLOWING):
        assert built.how(table)["build"] == "increment", table.name
    assert_equal_to_a_rebuild(built)


def test_who_was_behind_what_is_forgotten_is_built_whole(built):
    built.events([("e9", "u1", "i1", "7", "buy", "", "")])
    built.clean()
    increments.forget_words_so_far(built.connection)
    built.build()
    assert built.how(s4_tables.TEMPORAL_FEATURES)["build"] == f"full: {builds.BEHIND}"
    assert_equal_to_a_rebuild(built)
