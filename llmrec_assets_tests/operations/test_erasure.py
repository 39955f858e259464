"""A user that was erased is nowhere: found by reading every file of the store as what it is."""

import gzip
import json
import os
import signal
import sqlite3
import subprocess
import sys

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from llmrec_assets.operations import erasure
from llmrec_assets.operations.landing_rows import blank_rows
from llmrec_assets.operations.search import find_user
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.resources.wiring import resources_of
from llmrec_assets.serving.segments import Segment
from llmrec_assets.sql.landing_lines import MAX_LINE
from llmrec_assets.sql.s1_files import create_tables
from llmrec_assets.sql.s1_tables import RAW_EVENTS

GONE = "erase me+用户"
STAYS = "somebody else"
CONFIG = {"temporal_model": {"max_epochs": 1}, "model_evaluation": {"global_time_split": False}}


def rows():
    users = [GONE, STAYS, *(f"user-{n:02}" for n in range(10))]
    for place, user in enumerate(users):
        for step in range(5):
            item = f"i{(place + step) % 6}"
            text = f"what {user} says" if step == 1 else ""
            yield {"user_id": user, "item_id": item, "timestamp": step, "behavior": "buy",
                   "text": text, "event_id": f"{place}-{step}"}  # fmt: skip


@pytest.fixture
def store(root, run_job):
    """A store whose every kind of file has the user, after a whole loop with feedback."""
    events = list(rows())
    frame = pd.DataFrame(events)
    frame[frame.index % 3 == 0].to_csv(root.landing_events / "a.csv", index=False)
    lines = "".join(json.dumps(e, ensure_ascii=False) + "\n" for e in events[1::3])
    (root.landing_events / "b.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    frame[frame.index % 3 == 2].to_parquet(root.landing_events / "c.parquet", index=False)
    bad = f"user_id,item_id,timestamp,behavior\n{GONE},i1,no time,buy\n{STAYS},i1,6,buy\n"
    (root.landing_events / "d.csv").write_text(bad)
    config = {**CONFIG, "user_sequences": {"step_details": True}}
    run_job(config=config)
    lists = pd.read_parquet(root.recommendations)
    answers = [
        {"feedback_id": f"f{n}", "user_id": row.user_id, "item_id": row.item_id,
         "timestamp": 10 + n, "response": "like", "list_id": row.list_id}
        for n, row in enumerate(lists[lists["rank"] == 1].itertuples())
    ]  # fmt: skip
    pd.DataFrame(answers).to_json(
        root.landing_feedback / "answers.jsonl", orient="records", lines=True, force_ascii=False
    )
    served = lists[lists["user_id"].isin([GONE, STAYS])]
    root.landing_lists.mkdir()
    served.assign(list_id="live-" + served["list_id"]).to_json(
        root.landing_lists / "serve-1.jsonl",
        orient="records",
        lines=True,
        force_ascii=False,
        date_format="iso",
    )
    run_job("collect_feedback")
    run_job("ingest")
    return root


def llmrec(layout, *arguments):
    """The command on a store, in a process of its own, as its definitions belong to one store."""
    settings = {"LLMREC_DATA_DIR": str(layout.root), "LLMREC_ENCODER": "bag_of_words",
                "LLMREC_MAX_EPOCHS": "1", "LLMREC_GLOBAL_TIME_SPLIT": "false",
                "LLMREC_STEP_DETAILS": "true"}  # fmt: skip
    code = "from llmrec_assets.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=os.environ | settings, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_an_erased_user_is_nowhere_and_all_others_stay(store):
    before = find_user(store, GONE)
    named = {place.split(":")[0] for place in before}
    files = ("events/c.parquet", "feedback/answers.jsonl", "lists/serve-1.jsonl")
    assert {f"landing/{file}" for file in files} <= named
    assert {"llmrec.duckdb", "serving/recommendations.parquet"} <= named
    assert "llmrec.duckdb: s7_feedback.served_lists.user_id" in before
    warehouse = resources_of(store)["warehouse"]
    others = warehouse.read(
        "select event_id, line, text from s1_raw_events.raw_events where user_id <> ? order by all",
        [GONE],
    )
    assert "nothing is left" in llmrec(store, "erase-user", GONE, "--yes")
    assert find_user(store, GONE) == {}
    assert find_user(store, STAYS)
    kept = warehouse.read("select event_id, line, text from s1_raw_events.raw_events order by all")
    assert kept.equals(others)
    lists = pd.read_parquet(store.recommendations)
    assert set(lists["user_id"]) == {STAYS, *(f"user-{n:02}" for n in range(10))}
    erased = warehouse.read("from s1_raw_events.erasures")
    assert len(erased) == 1
    assert len(erased["model_versions"][0]) == 1
    assert erased["texts_left"].isna().all()

    # The files as they are now are known: nothing comes in again.
    llmrec(store, "run")
    assert find_user(store, GONE) == {}
    counts = warehouse.read("select sum(duplicates) as n from s1_raw_events.files")
    assert counts["n"][0] == 0
    files = warehouse.read(
        "select count(*) as n, sum(duplicates) as known from s7_feedback.list_files"
    )
    assert files.values.tolist() == [[1, 0]]
    served = warehouse.read("select distinct user_id from s7_feedback.served_lists")
    assert served["user_id"].tolist() == [STAYS]


def test_export_has_what_the_tables_hold(store, tmp_path):
    target = tmp_path / "export.json"
    llmrec(store, "export-user", GONE, "--to", str(target))
    told = json.loads(target.read_text())
    assert len(told["s1_raw_events.raw_events"]) == 6  # five of its own, one that returned
    assert {row["user_id"] for rows in told.values() for row in rows} == {GONE}
    assert target.stat().st_mode & 0o077 == 0


def test_the_search_reads_sqlite_and_finds_escaped_ids(root):
    with sqlite3.connect(root.root / "some.db") as connection:
        connection.execute("create table notes (note)")
        connection.execute("insert into notes values (?)", [f"about {GONE}."])
    (root.root / "log.txt").write_text(json.dumps({"user": GONE}))
    (root.root / "longer.txt").write_text(f"{GONE}x")
    assert find_user(root, GONE) == {"log.txt": 1, "some.db: notes.note": 1}


def test_rows_of_several_lines_go_whole_and_others_keep_their_numbers(tmp_path):
    path, target = tmp_path / "a.csv", tmp_path / "b.csv"
    path.write_text('user_id,text\na,"two\nlines"\nb,one\na,"three\n\nlines"\nc,\n')
    blank_rows(path, target, {2, 5}, [2, 4, 5, 8])
    assert target.read_text() == "user_id,text\n\n\nb,one\n\n\n\nc,\n"


def test_elements_of_an_array_become_null(tmp_path):
    path, target = tmp_path / "a.json", tmp_path / "b.json"
    path.write_text('[{"user_id": "a"},\n {"user_id": "b"}]')
    blank_rows(path, target, {1}, [1, 2])
    assert json.loads(target.read_text()) == [None, {"user_id": "b"}]


def test_a_row_behind_one_that_is_too_long_stays(tmp_path):
    path, target = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    lines = [json.dumps({"user_id": "a", "text": "x" * (MAX_LINE + 10)}), '{"user_id": "b"}']
    path.write_text("\n".join([*lines, '{"user_id": "c"}', ""]))
    blank_rows(path, target, {3}, [1, 2, 3])
    assert target.read_text() == "\n".join([*lines, "", ""])


def test_columns_of_parquet_that_must_not_be_null_may_be(tmp_path):
    path, target = tmp_path / "a.parquet", tmp_path / "b.parquet"
    schema = pa.schema([pa.field("user_id", pa.string(), nullable=False)])
    pq.write_table(pa.table({"user_id": ["a", "b"]}, schema=schema), path)
    blank_rows(path, target, {1}, [1, 2])
    assert pq.read_table(target)["user_id"].to_pylist() == [None, "b"]


def test_numbers_as_ids_and_compressed_files_are_searched(root):
    pd.DataFrame({"user_id": [1234567]}).to_parquet(root.root / "numbers.parquet")
    (root.landing_events / "a.csv.gz").write_bytes(gzip.compress(b"user_id\n1234567\n"))
    found = find_user(root, "1234567")
    assert found == {"landing/events/a.csv.gz": 1, "numbers.parquet: main.file.user_id": 1}


KILLED = """
import os, signal, sys
from pathlib import Path
from llmrec_assets.layout import Layout
from llmrec_assets.resources.engine import Engine
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.sql.shard_files import divide
from llmrec_assets.sql.shards import ShardedQuery

layout = Layout(Path(sys.argv[1]))
work = ShardedQuery("target", "query", {}, {"s1_raw_events.raw_events": "user_id, item_id"})
with (
    Warehouse(path=str(layout.warehouse)).connect() as connection,
    Engine(kind="ray", folder=str(layout.tasks)).work_folder() as folder,
):
    divide(connection, work, 2, folder)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_shards_that_a_killed_driver_left_are_searched_and_go(root):
    with Warehouse(path=str(root.warehouse)).connect() as connection:
        create_tables(connection)
        connection.execute(
            f"""insert into {RAW_EVENTS.full_name} by name select 'e' as event_id, ? as user_id,
            'i1' as item_id""",
            [GONE],
        )
    done = subprocess.run([sys.executable, "-c", KILLED, str(root.root)], check=False)
    assert done.returncode == -signal.SIGKILL
    left = [place for place in find_user(root, GONE) if place.startswith("tasks/")]
    assert len(left) == 1
    assert left[0].endswith(".parquet: main.file.user_id")
    erasure.forget(root, GONE)
    assert {*find_user(root, GONE)} == {*left}
    erasure.sweep(root)
    assert find_user(root, GONE) == {}
    assert not list(root.tasks.iterdir())


def test_a_running_service_stands_in_the_way(root):
    segment = Segment(root.landing_feedback)
    segment.append(b'{"user_id": "somebody"}\n')
    with pytest.raises(erasure.ServiceRuns, match="stop it, erase the user, start it again"):
        erasure.forget(root, "somebody")
    segment.close()
