"""With a key, nothing but the landing zone and what is published for consumers names a user."""

import json
import os
import sqlite3
import subprocess
import sys
from urllib.parse import quote

import duckdb
import pandas as pd
import pytest

from llmrec_assets.core.pseudonyms import Pseudonyms
from llmrec_assets.layout import Layout
from llmrec_assets.operations import erasure, mending, retention
from llmrec_assets.operations.doctor import examine
from llmrec_assets.operations.export import export_user
from llmrec_assets.operations.search import find_user
from llmrec_assets.resources.people import People
from llmrec_assets.resources.wiring import resources_of
from llmrec_assets.settings import SettingError
from llmrec_assets.sql import s1_rejections
from llmrec_assets_tests.operations.test_erasure import CONFIG, llmrec
from llmrec_assets_tests.serving.process import Process

KEY = "a key of tests, long enough"
NAMES = Pseudonyms(KEY)
USERS = [f"clear person {n:02}" for n in range(12)]


@pytest.fixture
def keyed(monkeypatch):
    monkeypatch.setenv("LLMREC_PSEUDONYM_KEY", KEY)


def land(layout, users=USERS, day="2026-01", start=0):
    rows = [
        {"user_id": user, "item_id": f"i{(place + step) % 6}", "behavior": "buy",
         "timestamp": f"{day}-{step + 1:02}", "event_id": f"{start}-{place}-{step}"}
        for place, user in enumerate(users) for step in range(6)
    ]  # fmt: skip
    frame = pd.DataFrame(rows)
    frame.to_csv(layout.landing_events / f"{start}.csv", index=False)
    with (layout.landing_events / f"{start}.csv").open("a") as file:
        file.write(f"{users[0]},i1,buy,no time,bad\n{users[0]},i1,one,cell,too,many\n")


def users_of(layout, table="s1_raw_events.raw_events"):
    frame = resources_of(layout)["warehouse"].read(f"select distinct user_id from {table}")
    return set(frame["user_id"])


@pytest.mark.usefixtures("keyed")
def test_the_loop_knows_pseudonyms_and_the_consumer_ids(root, run_job):
    land(root)
    run_job(config=CONFIG)
    lists = pd.read_parquet(root.recommendations)
    assert set(lists["user_id"]) == set(USERS)
    answers = [
        {"feedback_id": f"f{n}", "user_id": row.user_id, "item_id": row.item_id,
         "timestamp": "2026-02-01", "response": "like", "list_id": row.list_id}
        for n, row in enumerate(lists[lists["rank"] == 1].itertuples())
    ]  # fmt: skip
    pd.DataFrame(answers).to_csv(root.landing_feedback / "a.csv", index=False)
    served = lists[lists["user_id"] == USERS[0]].assign(list_id="live").astype(str)
    root.landing_lists.mkdir()
    served.to_csv(root.landing_lists / "a.csv", index=False)
    run_job("collect_feedback")
    run_job("ingest")
    run_job("refresh_lists")

    known = {NAMES.of(user) for user in USERS}
    for table in ("s1_raw_events.raw_events", "s7_feedback.feedback",
                  "s6_recommendations.recommendations"):  # fmt: skip
        assert users_of(root, table) == known
    assert users_of(root, "s7_feedback.served_lists") == {NAMES.of(USERS[0])}
    caused = resources_of(root)["warehouse"].read(
        "select count(*) as n from s7_feedback.feedback where caused_by is not null"
    )
    assert caused["n"][0] == 12
    for user in USERS:
        assert {place.split(":")[0] for place in find_user(root, user)} <= {
            "landing/events/0.csv", "landing/feedback/a.csv", "landing/lists/a.csv",
            "serving/recommendations.parquet",
        }  # fmt: skip
    returned = [p for p in root.landing_events.iterdir() if p.name.startswith("returned-")]
    assert len(returned) == 1
    assert not any(path.name.startswith(".") for path in root.serving.iterdir())


@pytest.mark.usefixtures("keyed")
def test_the_service_takes_ids(root, run_job):
    land(root)
    run_job(config=CONFIG)
    list_ids = pd.read_parquet(root.recommendations).groupby("user_id")["list_id"].first()
    process = Process(root)
    try:
        process.wait_until_ready()
        client, user = process.client(), USERS[3]
        answer = client.recommend(user, k=20).json
        assert (answer["source"], answer["list_id"]) == ("published", list_ids[user])
        event = {"item_id": "i5", "timestamp": "2026-03-01T00:00:00Z", "behavior": "view",
                 "user_id": user, "event_id": "e1"}  # fmt: skip
        assert client.feedback([event]).status == 200
        assert client.recommend(user).json["source"] == "live"
        events = client.get(f"/v1/users/{quote(user)}/history").json["events"]
        assert [event["origin"] for event in events] == ["live"] + ["published"] * 6
        assert client.post("/v1/why", {"user_id": user, "item_id": "i1"}).json["drivers"]
    finally:
        process.stop()
    again = Process(root)  # reads its segments again
    try:
        again.wait_until_ready()
        assert again.client().recommend(USERS[3]).json["source"] == "live"
    finally:
        again.stop()
    run_job("ingest")
    assert users_of(root) == {NAMES.of(user) for user in USERS}


def test_a_service_with_another_key_does_not_serve(root, run_job, keyed, monkeypatch):
    land(root)
    run_job(config=CONFIG)
    monkeypatch.delenv("LLMREC_PSEUDONYM_KEY")
    process = Process(root)
    try:
        refused = process.wait_for_log("package refused")
        assert "another LLMREC_PSEUDONYM_KEY" in refused["reason"]
    finally:
        process.kill()


@pytest.mark.usefixtures("keyed")
def test_the_map_dies_with_the_erasure(root, run_job):
    land(root)
    run_job(config=CONFIG)
    target = root.root.parent / "export.json"
    assert export_user(root, USERS[0], target)["s1_raw_events.raw_events"] == 6
    assert People.of(root).ids([NAMES.of(USERS[0])]) == {NAMES.of(USERS[0]): USERS[0]}
    assert "nothing is left" in llmrec(root, "erase-user", USERS[0], "--yes")
    assert find_user(root, USERS[0]) == {}
    assert find_user(root, NAMES.of(USERS[0])) == {}
    assert NAMES.of(USERS[0]).encode() not in root.pseudonyms.read_bytes()
    assert set(pd.read_parquet(root.recommendations)["user_id"]) == set(USERS[1:])


@pytest.mark.usefixtures("keyed")
def test_the_map_holds_no_id_and_only_those_whose_rows_are_kept(root, run_job):
    land(root)
    land(root, ["an old one"], day="2001-01", start=1)
    (root.landing_events / "bad.csv").write_text(
        "user_id,item_id,timestamp,behavior\nrefused person,i1,no time,buy\n"
    )
    run_job("ingest")
    people = People.of(root)
    everybody = {NAMES.of(user): user for user in [*USERS, "an old one"]}
    assert people.ids([*everybody, NAMES.of("refused person")]) == everybody
    raw = root.pseudonyms.read_bytes()
    assert not any(user.encode() in raw for user in USERS)
    assert root.pseudonyms.stat().st_mode & 0o077 == 0
    resources = resources_of(root)
    retention.forget(resources["warehouse"], resources["landing"], 9000)
    assert set(people.ids(everybody).values()) == set(USERS)


def test_another_key_cannot_read_the_map_and_is_refused(root, run_job, keyed, monkeypatch):
    land(root)
    run_job("ingest")
    monkeypatch.setenv("LLMREC_PSEUDONYM_KEY", "another key of sixteen or more")
    with pytest.raises(SettingError, match=r"is not the key of this store: set the one"):
        users_of(root)
    with pytest.raises(Exception, match=r"^$"):  # InvalidTag has no message
        People.of(root).ids([NAMES.of(USERS[0])])
    monkeypatch.delenv("LLMREC_PSEUDONYM_KEY")
    with pytest.raises(SettingError, match=r"by pseudonyms: set LLMREC_PSEUDONYM_KEY"):
        users_of(root)
    with pytest.raises(SettingError):
        erasure.forget(root, USERS[0])
    monkeypatch.setenv("LLMREC_PSEUDONYM_KEY", KEY)
    assert len(users_of(root)) == 12


def test_a_key_for_a_store_that_has_ids_is_refused(root, run_job, monkeypatch):
    land(root)
    run_job("ingest")
    monkeypatch.setenv("LLMREC_PSEUDONYM_KEY", KEY)
    with pytest.raises(SettingError, match=r"knows its users by their ids: unset it"):
        users_of(root)


def test_a_file_of_the_key_is_for_its_owner_alone(root, run_job, monkeypatch, tmp_path):
    file = tmp_path / "key"
    file.write_text(KEY + "\n")
    file.chmod(0o644)
    monkeypatch.setenv("LLMREC_PSEUDONYM_KEY_FILE", str(file))
    land(root)
    done = subprocess.run(
        [sys.executable, "-c", "from llmrec_assets.cli import main; main()", "run"],
        env=os.environ | {"LLMREC_DATA_DIR": str(root.root)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"others may read {file}: chmod 600 {file}" in done.stderr
    file.chmod(0o600)
    run_job("ingest")
    assert users_of(root) == {NAMES.of(user) for user in USERS}


def test_rejected_rows_are_kept_without_ids(root, run_job, keyed):
    land(root)
    run_job("ingest")
    rows = resources_of(root)["warehouse"].read(
        'select reason, "row" from s1_raw_events.rejected_events order by line'
    )
    assert len(rows) == 2
    assert NAMES.of(USERS[0]) in rows["row"][0]
    assert rows["row"][1] == ""
    with resources_of(root)["warehouse"].connect() as connection:
        assert len(s1_rejections.open_rejections(connection, None)) == 2
    erasure.forget(root, USERS[0])
    with resources_of(root)["warehouse"].connect() as connection:
        assert s1_rejections.open_rejections(connection, None) == []


@pytest.mark.usefixtures("keyed")
def test_who_comes_by_a_mended_row_is_published_by_id(root, run_job, tmp_path):
    land(root)
    with (root.landing_events / "0.csv").open("a") as file:
        file.write("somebody new,i1,buy,no time,new\n")
    run_job("ingest")
    target = tmp_path / "mend.jsonl"
    assert mending.export_rejected(root, target, "events").rows == 3
    rows = [json.loads(line) for line in target.read_text().splitlines()]
    assert rows[1]["rejected_row"] == f"{USERS[0]},i1,one,cell,too,many"
    (mended,) = (row for row in rows if row.get("event_id") == "new")
    target.write_text(json.dumps(mended | {"timestamp": "2026-01-03"}))
    mending.replay(root, target)
    run_job(config=CONFIG)
    assert NAMES.of("somebody new") in users_of(root)
    assert set(pd.read_parquet(root.recommendations)["user_id"]) == {*USERS, "somebody new"}
    assert [finding for finding in examine(root) if not finding.well] == []


def test_entries_of_the_map_are_bound_to_their_pseudonyms(tmp_path, keyed):
    layout = Layout(tmp_path)
    people = People.of(layout)
    people.remember([(NAMES.of(user), user) for user in USERS[:2]])
    with sqlite3.connect(layout.pseudonyms) as connection:
        (sealed,) = connection.execute(
            "select sealed from names where pseudonym = ?", [NAMES.of(USERS[0])]
        ).fetchone()
        connection.execute("update names set sealed = ?", [sealed])
    with pytest.raises(Exception, match=r"^$"):
        people.ids([NAMES.of(USERS[1])])


def test_without_a_key_nothing_changes(root, run_job):
    land(root)
    run_job("ingest")
    assert users_of(root) == set(USERS)
    assert not root.pseudonyms.exists()
    with duckdb.connect(str(root.warehouse)) as connection:
        assert not connection.execute(
            "select 1 from duckdb_tables() where table_name = 'pseudonym_key'"
        ).fetchall()
