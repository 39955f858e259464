"""A batch of events is taken back by one command, and stays away."""

import pandas as pd
import pytest

from llmrec_assets.operations import erasure
from llmrec_assets.operations.retraction import StillWritten, retract
from llmrec_assets.resources import warehouse
from llmrec_assets.resources.registry import CHAMPION
from llmrec_assets.resources.wiring import resources_of
from llmrec_assets.sql.migrations import SCHEMA_VERSION
from llmrec_assets.sql.s1_batches import UnknownFile
from llmrec_assets_tests.operations.test_erasure import CONFIG, llmrec

HEADER = "user_id,item_id,timestamp,behavior\n"
PEOPLE = "".join(
    f"u{user},i{(user + step) % 6},{step},buy\n" for user in range(12) for step in range(6)
)
BOT = "bot,i1,1,buy\nbot,i2,2,buy\nu0,i0,0,buy\n"  # the last is a real one too


@pytest.fixture
def store(root, run_job):
    (root.landing_events / "bot.csv").write_text(HEADER + BOT)
    (root.landing_events / "people.csv").write_text(HEADER + PEOPLE)
    run_job(config=CONFIG)
    return root


def events(store):
    query = "select user_id, item_id, step from s1_raw_events.raw_events order by all"
    return list(resources_of(store)["warehouse"].read(query).itertuples(index=False, name=None))


def test_the_command_takes_a_batch_back_and_makes_lists_without_it(store):
    registry = resources_of(store)["registry"]
    before, serving = events(store), registry.alias(CHAMPION)
    said = llmrec(store, "retract", "bot.csv", "--because", "a farm", "--yes")
    assert "3 events are taken back; 1 of them stay" in said
    assert events(store) == [row for row in before if row[0] != "bot"]
    assert "bot" not in set(pd.read_parquet(store.recommendations)["user_id"])
    assert serving is None or registry.alias(CHAMPION) != serving
    kept = resources_of(store)["warehouse"].read("from s1_raw_events.retractions")
    assert kept[["name", "rows", "restored", "because"]].values.tolist() == [
        ["bot.csv", 3, 1, "a farm"]
    ]


def test_what_was_retracted_stays_away_when_a_user_of_it_is_erased(store):
    assert (retract(store, "bot.csv").rows, len(events(store))) == (3, 72)
    erasure.forget(store, "bot")  # gives the file another content
    again = retract(store, "people.csv")
    assert (again.rows, again.restored, again.not_landed) == (72, 0, [])
    assert events(store) == []


def test_nothing_is_retracted_while_a_file_is_being_written(store):
    before = events(store)
    with (store.landing_events / "new.csv").open("w") as writer:
        writer.write(HEADER)
        writer.flush()
        with pytest.raises(StillWritten, match=r"new\.csv"):
            retract(store, "bot.csv")
    assert events(store) == before


def test_a_batch_of_items_goes_and_what_was_said_before_comes_back(store, run_job):
    (store.landing_items / "good.csv").write_text("item_id,title\ni1,One\n")
    run_job("ingest")
    (store.landing_items / "spam.csv").write_text("item_id,title\ni1,Buy now\nx9,Buy now\n")
    (store.landing_events / "spam.csv").write_text(HEADER + "u0,i0,9,buy\n")
    run_job("ingest")
    with pytest.raises(UnknownFile, match=r"more than once(.|\n)*\(items\)"):
        retract(store, "spam.csv")
    gone = retract(store, "spam.csv", kind="items")
    assert (gone.kind, gone.rows, gone.restored, gone.not_landed) == ("items", 2, 1, [])
    items = resources_of(store)["warehouse"].read("from s1_raw_events.raw_items")
    assert items[["item_id", "title"]].values.tolist() == [["i1", "One"]]
    assert retract(store, "spam.csv").kind == "events", "one is left of this name"


def test_a_model_that_was_trained_on_items_that_went_is_known(store, run_job):
    (store.landing_items / "spam.csv").write_text("item_id,title\ni1,Buy now\n")
    run_job("ingest")
    assert retract(store, "spam.csv").versions == [], "the model is older than the batch"
    (store.landing_items / "more.csv").write_text("item_id,title\ni1,Buy now!\n")
    run_job(config=CONFIG)
    versions = resources_of(store)["warehouse"].read(
        "select model_version from s5_model.temporal_model order by trained_at desc"
    )["model_version"]
    assert retract(store, "more.csv").versions == [versions[0]]


def test_a_store_from_before_items_could_be_taken_back_keeps_what_was(store, monkeypatch):
    retract(store, "bot.csv")
    with resources_of(store)["warehouse"].connect() as connection:
        connection.execute(
            """create table old as select * exclude (kind, last_seq)
            from s1_raw_events.retractions"""
        )
        connection.execute("drop table s1_raw_events.retractions; drop table s1_raw_events.repairs")
        connection.execute("create table s1_raw_events.retractions as from old; drop table old")
        connection.execute(f"drop table {SCHEMA_VERSION.full_name}")
    monkeypatch.setattr(warehouse, "_up_to_date", set())  # as another process would find it
    with pytest.raises(UnknownFile, match=r"no file of events or items came in by that name"):
        retract(store, "bot.csv")
    assert retract(store, "people.csv").rows == 72


def test_a_row_that_is_refused_by_a_retraction_is_scrubbed_too(root, run_job):
    def land(name, *said):
        rows = "".join(f"u,i,2026-01-0{n},buy,e1,{text}\n" for n, text in enumerate(said, start=1))
        text = "user_id,item_id,timestamp,behavior,event_id,text\n" + rows
        (root.landing_events / name).write_text(text)
        run_job("ingest")

    land("a.csv", "hello")
    land("b.csv", "mail a@example.com", "mail b@example.com")
    retract(root, "a.csv")
    kept = resources_of(root)["warehouse"].read('select "row" from s1_raw_events.rejected_events')
    (row,) = kept["row"]
    assert "mail [e-mail]" in row
