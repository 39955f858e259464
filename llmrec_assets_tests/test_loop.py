"""The loop closes by itself: a daemon, its sensors, and nobody who does more than drop files."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import dagster as dg
import duckdb
import pandas as pd
import pytest

from llmrec_assets.automation.history import latest, latest_number
from llmrec_assets.instance import prepare
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets_tests.faults.service import SETTINGS

LIMIT = 240  # seconds for the whole loop; a quiet machine needs a third of it


class Loop:
    """A root, the instance of its daemon, and a clock that runs out."""

    def __init__(self, layout, instance, daemon, log) -> None:
        self.layout, self.instance, self.daemon, self.log = layout, instance, daemon, log
        self.deadline = time.monotonic() + LIMIT

    def wait(self, what, condition):
        """The first true value of `condition`."""
        while not (value := condition()):
            if self.daemon.poll() is not None:
                self.fail(f"the daemon ended while waiting for {what}")
            if time.monotonic() > self.deadline:
                self.fail(f"waited in vain for {what}")
            time.sleep(0.3)
        return value

    def fail(self, reason):
        runs = [
            f"{run.job_name} {run.status.value} {dict(run.tags)}"
            for run in self.instance.get_runs(limit=10)
        ]
        tail = self.log.read_text(encoding="utf-8", errors="replace")[-6000:]
        pytest.fail("\n".join([reason, *runs, "… end of the daemon's log:", tail]))

    def latest(self, asset, key):
        return latest(self.instance, asset, key)

    def read(self, query):
        """Rows of the warehouse; none while the table is not there."""
        try:
            return Warehouse(path=str(self.layout.warehouse)).read(query)
        except duckdb.CatalogException:
            return pd.DataFrame()


@pytest.fixture
def loop(root, tmp_path, monkeypatch):
    """A root whose daemon runs, and nothing else."""
    for name in ("DAGSTER_HOME", "LLMREC_DATA_DIR"):
        monkeypatch.setenv(name, "")  # so that what prepare sets is undone
    prepare(root)
    log = tmp_path / "daemon.log"
    command = [sys.executable, "-m", "dagster._daemon", "run", "-m", "llmrec_assets.definitions"]
    with (
        dg.DagsterInstance.from_config(str(root.dagster_home)) as instance,
        process_group(command, log, env=os.environ | SETTINGS, cwd=tmp_path) as daemon,
    ):
        yield Loop(root, instance, daemon, log)


@contextmanager
def process_group(command, log, **options):
    """A process whose output goes to a file; it and all it started are killed in the end."""
    with log.open("w") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, **options
        )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def drop(folder, name, text):
    """Put a file in a landing folder as a careful service does: hidden first, then renamed."""
    hidden = folder / f".{name}"
    hidden.write_text(text, encoding="utf-8")
    hidden.rename(folder / name)


def events_file():
    start = datetime.now(UTC) - timedelta(days=30)
    rows = [
        f"u{user},i{(user + 2 * step) % 7},{(start + timedelta(hours=step)).isoformat()},browse"
        for user in range(8)
        for step in range(5)
    ]
    return "\n".join(["user_id,item_id,timestamp,behavior", *rows])


def test_dropped_files_become_lists_and_answers_to_them_become_the_next_challenger(loop):
    drop(loop.layout.landing_events, "events.csv", events_file())
    loop.wait("raw_events", lambda: loop.latest("raw_events", "max_seq") == 40)
    loop.wait("published lists", loop.layout.recommendations.is_file)
    loop.wait("the end of the first retraining", lambda: loop.latest("recommendations", "users"))
    first_lists = pd.read_parquet(loop.layout.recommendations)
    assert first_lists["user_id"].nunique() == 8
    assert latest_number(loop.instance, "champion_model", "judged_through") == 40
    slot = first_lists.iloc[0]

    shown = {name: str(slot[name]) for name in ("list_id", "user_id", "item_id")}
    shown |= {"rank": int(slot["rank"]), "timestamp": datetime.now(UTC).isoformat()}
    answers = [
        shown | {"feedback_id": "seen", "response": "impression"},
        shown | {"feedback_id": "clicked", "response": "click"},
    ]
    drop(loop.layout.landing_feedback, "answers.jsonl", "\n".join(map(json.dumps, answers)))
    loop.wait("feedback", lambda: loop.latest("feedback", "returned_events") == 1)
    joined = loop.read("select * from s7_feedback.feedback order by feedback_id")
    assert list(joined["feedback_id"]) == ["clicked", "seen"]
    assert set(joined["attribution"]) == {"list_id"}
    assert set(joined["caused_by"]) == {slot["list_id"]}
    assert set(joined["model_version"]) == {slot["model_version"]}
    (returned,) = loop.layout.landing_events.glob("returned-feedback-*.jsonl")
    assert json.loads(returned.read_text())["event_id"] == "feedback:clicked"

    loop.wait("the click in raw_events", lambda: loop.latest("raw_events", "max_seq") == 41)
    clicks = loop.read("from s1_raw_events.raw_events where event_id like 'feedback:%'")
    assert list(clicks["event_id"]) == ["feedback:clicked"]
    assert list(clicks["behavior"]) == ["click"]
    assert clicks["item_id"][0] == slot["item_id"]

    loop.wait(
        "the next challenger",
        lambda: latest_number(loop.instance, "champion_model", "judged_through") > 40,
    )
    assert loop.latest("champion_model", "judged_through") == clicks["seq"][0] == 41
    loop.wait("new lists", lambda: new_lists(loop, first_lists))
    lists = loop.read("select distinct list_id from s6_recommendations.recommendations")
    assert set(first_lists["list_id"]) < set(lists["list_id"])  # kept for late answers
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE])
    assert not loop.instance.get_runs(failed)


def new_lists(loop, old):
    """Whether no published list is one of the old."""
    published = pd.read_parquet(loop.layout.recommendations, columns=["list_id"])
    return not set(published["list_id"]) & set(old["list_id"])
