"""A store of an older version comes up to date; one of a newer version is left alone."""

import duckdb
import pandas as pd
import pytest

from llmrec_assets.layout import Layout
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.sql import builds, migrations
from llmrec_assets.sql.builds import Build
from llmrec_assets.sql.fingerprints import Fingerprint
from llmrec_assets.sql.migrations import MIGRATIONS, Migration, NewerStore, WrongSchema, migrate
from llmrec_assets.sql.s1_tables import RAW_EVENTS
from llmrec_assets.sql.s2_tables import CLEAN_EVENTS
from llmrec_assets_tests.conftest import SIX_LINES, runner

# A store as it was before it told its version, and as no code has it now.
PREVIOUS = """
drop schema meta cascade;
alter table s2_sequences.clean_events add column code integer;
alter table s4_features.fused_features drop column recommended;
drop table s4_features.users;
create table s4_features.users (user_code bigint, user_id varchar, primary key (user_id));
alter table s1_raw_events.raw_events drop column caused_by;
drop table s1_raw_events.retractions;
create table s1_raw_events.retractions (content_hash varchar, name varchar, retracted_at timestamp,
    first_seq bigint, rows bigint, restored bigint, because varchar, primary key (content_hash));
insert into s1_raw_events.retractions (content_hash, name) values ('gone', 'events-of-bots.csv');
"""
COMPARED = {
    "s1_raw_events.raw_events": "* exclude (ingested_at)",
    "s2_sequences.clean_events": "*",
    "s4_features.users": "*",
    "s4_features.fused_features": "*",
    "s6_recommendations.recommendations": "* exclude (generated_at)",
}


def versions(path):
    with duckdb.connect(str(path), read_only=True) as connection:
        return migrations.version_of(connection)


def test_the_next_run_of_a_store_of_a_previous_form_equals_one_from_nothing(root, run_job):
    (root.landing_events / "events.csv").write_text(SIX_LINES)
    run_job()
    assert versions(root.warehouse) == len(MIGRATIONS)
    with duckdb.connect(str(root.warehouse)) as connection:
        connection.execute(PREVIOUS)
    root.warehouse.rename(moved := root.warehouse.with_name("older.duckdb"))
    moved.rename(root.warehouse)
    new_inode(root)
    run_job()
    assert versions(root.warehouse) == len(MIGRATIONS)
    old = Warehouse(path=str(root.warehouse))
    taken_back = old.read("select kind, name from s1_raw_events.retractions")
    assert taken_back.values.tolist() == [["events", "events-of-bots.csv"]]

    fresh = Layout(root.root.with_name("fresh"))
    fresh.landing_events.mkdir(parents=True)
    (fresh.landing_events / "events.csv").write_text(SIX_LINES)
    runner(fresh, run_job.instance)()
    new = Warehouse(path=str(fresh.warehouse))
    for table, columns in COMPARED.items():
        query = f"select {columns} from {table} order by all"
        left, right = old.read(query), new.read(query)
        pd.testing.assert_frame_equal(left[sorted(left)], right[sorted(right)], obj=table)


def new_inode(root):
    """As after a restore: another process would look at the version anyway."""
    copy = root.warehouse.with_name("copy.duckdb")
    copy.write_bytes(root.warehouse.read_bytes())
    copy.replace(root.warehouse)


def test_a_new_store_has_the_newest_version_without_any_migration(tmp_path):
    def never(_):
        raise AssertionError

    with duckdb.connect(str(tmp_path / "w.duckdb")) as connection:
        assert migrate(connection, [Migration("one", never), Migration("two", never)]) == []
        assert migrations.version_of(connection) == 2


def test_migrations_run_once_in_order_and_what_is_kept_keeps_its_rows(tmp_path):
    def rename(connection):
        connection.execute("alter table s1_raw_events.files rename column title to name")

    def key(connection):
        connection.execute("update s1_raw_events.files set name = name || '!'")

    steps = [*MIGRATIONS, Migration("a name", rename), Migration("a mark", key)]
    with duckdb.connect(str(tmp_path / "w.duckdb")) as connection:
        for table in (*migrations.PRECIOUS, *migrations.DERIVED):
            table.create(connection)
        connection.execute("insert into s1_raw_events.files (kind, content_hash, name)"
                           " values ('events', 'h', 'a')")  # fmt: skip
        connection.execute("alter table s1_raw_events.files rename column name to title")
        assert migrate(connection, steps)[: len(steps)] == [step.says for step in steps]
        assert migrate(connection, steps) == []
        names = connection.execute("select name from s1_raw_events.files").fetchall()
        assert names == [("a!",)]


def test_builds_without_fingerprints_are_forgotten_once(tmp_path):
    with duckdb.connect(str(tmp_path / "w.duckdb")) as connection:
        CLEAN_EVENTS.create(connection)
        migrate(connection, MIGRATIONS[:1])
        connection.execute("create table s2_sequences.builds (table_name varchar, rows bigint)")
        connection.execute("insert into s2_sequences.builds values ('clean_events', 0)")
        assert migrate(connection, MIGRATIONS[:2]) == [MIGRATIONS[1].says]
        assert builds.last_build(connection, CLEAN_EVENTS) is None
        done = Build(1, 1, "", Fingerprint(0, 1 << 63), "", 0, 0)
        builds.record(connection, CLEAN_EVENTS, done)
        assert builds.last_build(connection, CLEAN_EVENTS) == done


def test_a_table_that_fingerprints_needed_goes(tmp_path):
    with duckdb.connect(str(tmp_path / "w.duckdb")) as connection:
        RAW_EVENTS.create(connection)
        migrate(connection, MIGRATIONS[:2])
        connection.execute("create table s1_raw_events.event_blocks (block bigint)")
        assert migrate(connection, MIGRATIONS[:3]) == [MIGRATIONS[2].says]
        tables = connection.execute("select table_name from duckdb_tables()").fetchall()
        assert ("event_blocks",) not in tables


def test_a_migration_that_fails_changes_nothing(tmp_path):
    def half(connection):
        connection.execute("create table s1_raw_events.more (n integer)")
        raise duckdb.Error("no")

    path = tmp_path / "w.duckdb"
    with duckdb.connect(str(path)) as connection:
        migrations.PRECIOUS[0].create(connection)
        migrate(connection)
        connection.begin()
        with pytest.raises(duckdb.Error):
            migrate(connection, [*MIGRATIONS, Migration("half", half)])
        connection.rollback()
    assert versions(path) == len(MIGRATIONS)
    with duckdb.connect(str(path)) as connection:
        assert connection.execute(
            "select count(*) from duckdb_tables() where table_name = 'more'"
        ).fetchall() == [(0,)]


def test_a_store_of_a_newer_version_is_refused_with_what_to_do(tmp_path):
    path, known = tmp_path / "w.duckdb", len(MIGRATIONS)
    with duckdb.connect(str(path)) as connection:
        migrate(connection, [*MIGRATIONS, Migration("of tomorrow", print)])
    told = rf"version {known + 1}, this code knows {known} → install the newer"
    with pytest.raises(NewerStore, match=told), Warehouse(path=str(path)).connect():
        pass
    assert versions(path) == known + 1


def test_a_kept_table_of_an_unknown_form_is_refused_and_left(tmp_path):
    path = tmp_path / "w.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("create schema s1_raw_events")
        connection.execute("create table s1_raw_events.raw_events (event_id integer)")
    with (
        pytest.raises(WrongSchema, match=r"raw_events has .*event_id.* → llmrec restore"),
        Warehouse(path=str(path)).connect(),
    ):
        pass
    assert versions(path) == 0
