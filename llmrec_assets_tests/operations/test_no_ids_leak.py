"""No id of a user is in logs, metadata, MLflow or errors, whatever goes wrong."""

import json
import os
import subprocess
import sys

import duckdb
import pandas as pd
import pytest

from llmrec_assets.layout import Layout
from llmrec_assets.operations.search import find_below
from llmrec_assets.resources.wiring import resources_of
from llmrec_assets_tests.serving.process import Process

MARK = "markeduser⟂7f3a"
USERS = [f"{MARK}{n:02}" for n in range(12)]
SETTINGS = {"LLMREC_ENCODER": "bag_of_words", "LLMREC_MAX_EPOCHS": "1",
            "LLMREC_GLOBAL_TIME_SPLIT": "false", "LLMREC_STEP_DETAILS": "true",
            "LLMREC_HISTORY_TEXTS": "true", "LLMREC_GATE_USERS": "1"}  # fmt: skip
HEADER = "user_id,item_id,timestamp,behavior"


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """Everything that the whole loop said and kept, with all that can go wrong with a row."""
    layout = Layout(tmp_path_factory.mktemp("marked") / "data")
    for folder in (layout.landing_events, layout.landing_items, layout.landing_feedback,
                   layout.landing_lists):  # fmt: skip
        folder.mkdir(parents=True)
    said: list[str] = []

    def llmrec(*arguments, code=0):
        done = subprocess.run(
            [sys.executable, "-c", "from llmrec_assets.cli import main; main()", *arguments],
            env=os.environ | SETTINGS | {"LLMREC_DATA_DIR": str(layout.root)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        said.append(f"{arguments[0]}: {done.stdout}{done.stderr}")

    land_events(layout)
    llmrec("run")
    land_answers(layout)
    said.append(serve(layout))
    llmrec("run")
    llmrec("recommend", f"{MARK}nobody", code=1)
    llmrec("export-user", USERS[0], "--to", str(layout.root.parent / "export.json"))
    llmrec("retract", f"{MARK}.csv", "--yes", code=1)
    llmrec("doctor")
    break_the_store(layout)
    llmrec("run", code=1)
    mend_the_store(layout)
    llmrec("erase-user", USERS[0], "--yes", code=1)  # files that cannot be read name the user
    for name in ("broken.parquet", "no-header.csv"):
        (layout.landing_events / name).unlink()
    llmrec("erase-user", USERS[0], "--yes")
    return layout, said


def land_events(layout):
    """Good rows of every form, and rows and files that are refused for every kind of reason."""
    rows = [
        {"user_id": user, "item_id": f"i{(place + step) % 6}", "behavior": "buy",
         "timestamp": f"2026-01-{step + 1:02}", "text": f"said {step}",
         "event_id": f"{place}-{step}"}
        for place, user in enumerate(USERS) for step in range(6)
    ]  # fmt: skip
    events = pd.DataFrame(rows)
    events[::2].to_csv(layout.landing_events / "a.csv", index=False)
    events[1::2].to_parquet(layout.landing_events / "b.parquet", index=False)
    refused = [
        f"{USERS[0]},i1,no time,buy",
        f"{USERS[1]},i1,2026-01-01,buy,one,cell,more",
        f'{USERS[2]},"i1,2026-01-01,buy',
        f",{USERS[3]},2026-01-01,buy",
        f"{MARK}{'x' * 300},i1,2026-01-01,buy",
        f"{USERS[4]},i1,12,buy",
    ]
    text = "\n".join([HEADER, *refused, ""])
    (layout.landing_events / "refused.csv").write_text(text)
    (layout.landing_events / "conflict.csv").write_text(
        f"{HEADER},event_id,rating\n{USERS[1]},i1,2026-01-01,buy,0-0,{USERS[2]}\n"
    )
    (layout.landing_events / "no-header.csv").write_text(f"{USERS[0]},i1,2026-01-01,buy\n" * 2)
    lines = [
        json.dumps({"user_id": USERS[0], "item_id": "i1"}),
        f'{{"user_id": "{USERS[1]}',
        USERS[2],
    ]
    (layout.landing_events / "broken.jsonl").write_text("\n".join([*lines, ""]))
    (layout.landing_events / "broken.json").write_text(f'[{{"user_id": "{USERS[1]}"')
    (layout.landing_events / "broken.parquet").write_bytes(b"PAR1" + USERS[0].encode())
    items = "item_id,title\n" + "".join(f"i{n},Thing {n}\n" for n in range(6))
    (layout.landing_items / "items.csv").write_text(items)


def land_answers(layout):
    lists = pd.read_parquet(layout.recommendations)
    answers = [
        {"feedback_id": f"f{n}", "user_id": row.user_id, "item_id": row.item_id, "rank": row.rank,
         "timestamp": f"2026-02-01T00:00:{n:02}", "response": "like", "list_id": row.list_id}
        for n, row in enumerate(lists[lists["rank"] == 1].itertuples())
    ]  # fmt: skip
    answers.append({**answers[0], "user_id": USERS[5]})
    answers.append({**answers[0], "feedback_id": "g", "rank": USERS[6]})
    answers.append({**answers[0], "feedback_id": "h", "timestamp": USERS[7]})
    pd.DataFrame(answers).astype(str).to_csv(layout.landing_feedback / "a.csv", index=False)
    served = lists[lists["user_id"] == USERS[1]].astype(str)
    wrong = served.assign(list_id="other", rank=USERS[2])
    pd.concat([served.assign(list_id="live"), wrong]).to_csv(
        layout.landing_lists / "a.csv", index=False
    )


def serve(layout):
    """The log of a service that is asked rightly and wrongly about marked users."""
    process = Process(layout)
    try:
        process.wait_until_ready()
        client = process.client()
        told = {"item_id": "i1", "timestamp": "2026-03-01T00:00:00Z"}
        assert client.recommend(USERS[3]).status == 200
        assert client.recommend(f"{MARK}nobody", k=0).status == 422
        assert client.recommend(f"{MARK}{'x' * 300}").status == 422
        assert client.get(f"/v1/users/{MARK.replace('⟂', '')}/no-such-path").status == 404
        event = {**told, "user_id": USERS[3], "behavior": "buy", "event_id": "e1"}
        response = {**told, "user_id": f"{MARK}new", "response": "like", "feedback_id": "r1"}
        assert client.feedback([event], [response]).status == 200
        assert client.feedback([{**event, "user_id": USERS[4]}]).status == 409
        assert client.feedback([{**event, "timestamp": USERS[4]}]).status == 422
        answers = [
            client.feedback([{**event, "behavior": {USERS[4]: USERS[5]}}]),
            client.post("/v1/feedback", f'{{"events": ["{USERS[4]}'.encode()),
            client.post("/v1/why", {"user_id": USERS[4], "item_id": USERS[5]}),
        ]
        assert [answer.status for answer in answers] == [422, 422, 404]
        assert not any(MARK in answer.body.decode() for answer in answers)
        metrics = client.get("/metrics").body.decode()
    finally:
        process.stop()
    return f"serve: {metrics}\n" + "\n".join(process.lines)


def break_the_store(layout):
    """What comes in cannot be written: DuckDB's own message quotes the user."""
    with duckdb.connect(str(layout.warehouse)) as connection:
        connection.execute("alter table s1_raw_events.raw_events rename to kept")
        connection.execute(
            "create table s1_raw_events.raw_events as"
            " select * replace (0 as user_id) from s1_raw_events.kept limit 0"
        )
    (layout.landing_events / "more.csv").write_text(
        f"{HEADER},event_id\n{USERS[0]},i1,2026-03-01,buy,late\n"
    )


def mend_the_store(layout):
    with duckdb.connect(str(layout.warehouse)) as connection:
        connection.execute("drop table s1_raw_events.raw_events")
        connection.execute("alter table s1_raw_events.kept rename to raw_events")


def test_no_command_and_no_service_says_an_id(seen):
    _, said = seen
    assert [
        told
        for told in said
        if MARK in told or MARK.encode("ascii", "backslashreplace").decode() in told
    ] == []


@pytest.mark.parametrize("place", ["dagster", "mlartifacts", "mlflow"])
def test_neither_dagster_nor_mlflow_keeps_an_id(seen, place):
    layout, _ = seen
    for user in [*USERS, f"{MARK}nobody", f"{MARK}new", MARK]:
        found = find_below(layout.root, user)
        assert [where for where in found if where.startswith(place)] == []
    assert any(path.name.startswith(place) for path in layout.root.iterdir())


def test_what_was_kept_is_found_where_it_belongs(seen):
    """The search of these tests finds what is there."""
    layout, _ = seen
    found = find_below(layout.root, USERS[1])
    assert "llmrec.duckdb: s1_raw_events.raw_events.user_id" in found
    assert "llmrec.duckdb: s1_raw_events.rejected_events.row" in found
    assert "landing/events/refused.csv" in found
    assert find_below(layout.root, USERS[0]) == {}


def test_errors_of_the_warehouse_quote_no_row(root):
    warehouse = resources_of(root)["warehouse"]
    with warehouse.connect() as connection:
        connection.execute("create table t (user_id varchar primary key)")
    wrong = [
        (f"insert into t values ('{MARK}'), ('{MARK}')", duckdb.ConstraintException),
        (f"select '{MARK}'::integer", duckdb.ConversionException),
        (f"select json('{MARK}')", duckdb.InvalidInputException),
    ]
    for query, kind in wrong:
        with pytest.raises(kind) as failed, warehouse.connect() as connection:
            connection.execute(query).fetchall()
        assert MARK not in str(failed.value)
        assert failed.value.__cause__ is None
        assert failed.value.__suppress_context__
