"""Drift through the graph: what is measured, when, and what chance must not raise."""

import json
import shutil
from datetime import UTC, datetime, timedelta

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from llmrec_assets.automation import history
from llmrec_assets.layout import Layout
from llmrec_assets.resources.wiring import resources_of
from llmrec_assets_tests.conftest import runner

START = datetime(2024, 3, 1, tzinfo=UTC)
CONFIG = {
    "temporal_model": {"max_epochs": 1},
    "model_evaluation": {"global_time_split": False},
}


def write(root, name, seed, users, day, favourites, behaviors=("browse", "buy")):
    """Eight events of each user with items drawn from `favourites`."""
    rng = np.random.default_rng(seed)
    lines = ["user_id,item_id,timestamp,behavior"]
    for user in range(users):
        for step in range(8):
            at = START + timedelta(days=day, hours=step, minutes=user)
            item, behavior = rng.choice(favourites), rng.choice(behaviors)
            lines.append(f"{name}{user},i{item},{at.isoformat()},{behavior}")
    (root.landing_events / f"{name}.csv").write_text("\n".join(lines))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store of 40 users and 20 items in which something serves; tests work on copies."""
    layout = Layout(tmp_path_factory.mktemp("served"))
    layout.landing_items.mkdir(parents=True)
    layout.landing_events.mkdir()
    titles = [f"i{n},{'tea' if n < 10 else 'garden chair'} number {n}" for n in range(20)]
    (layout.landing_items / "items.csv").write_text("\n".join(["item_id,title", *titles]))
    write(layout, "u", 0, 40, 0, range(10))
    with dg.DagsterInstance.ephemeral() as instance:
        runner(layout, instance)(config=CONFIG)
    return layout.root


@pytest.fixture
def served(root, store):
    shutil.copytree(store, root.root, dirs_exist_ok=True)
    return root


def measured(root, run_job, job="ingest"):
    """measure → row of the newest measurement, and the names that drifted."""
    run_job(job)
    rows = resources_of(root)["warehouse"].read(
        "from monitoring.drift qualify (events_through, feedback_through)"
        " = max((events_through, feedback_through)) over ()"
    )
    names = str(history.latest(run_job.instance, "drift", "drifted")).split()
    assert set(rows[rows["drifted"]]["measure"]) == set(names)
    return rows.set_index("measure"), set(names)


def test_nothing_is_measured_before_something_serves(root, run_job):
    write(root, "u", 0, 5, 0, range(10))
    run_job("ingest")
    assert history.latest(run_job.instance, "drift", "not_measured_because") == "nothing serves"
    assert history.latest(run_job.instance, "drift", "drifted") is None


def test_more_of_the_same_does_not_drift(served, run_job):
    write(served, "v", 1, 6, 1, range(10))
    rows, names = measured(served, run_job)
    assert names == set()
    assert set(rows.index) == {"item_popularity", "behavior_mix", "item_texts"}
    assert set(rows["reference"]) == {320}
    assert set(rows["new"]) == {48}
    assert set(rows["events_through"]) == {368}
    assert history.latest(run_job.instance, "drift", "judged_through") == 320
    assert history.latest(run_job.instance, "drift", "answers") == 0


def test_other_items_and_other_behaviors_drift(served, run_job):
    write(served, "v", 1, 6, 1, range(10, 20), behaviors=["share"])
    rows, names = measured(served, run_job)
    assert names == {"item_popularity", "behavior_mix", "item_texts"}
    assert (rows["value"] > rows["threshold"]).all()
    assert rows.loc["item_popularity", "value"] == pytest.approx(1.0)
    assert "image/png" in str(history.latest(run_job.instance, "drift", "plot"))


def test_a_measurement_is_repeatable_and_older_ones_stay(served, run_job):
    write(served, "v", 1, 6, 1, range(10))
    first, _ = measured(served, run_job)
    again, _ = measured(served, run_job)
    columns = ["value", "floor", "threshold", "drifted"]
    assert first[columns].equals(again[columns])
    write(served, "w", 2, 6, 2, range(10))
    measured(served, run_job)
    table = resources_of(served)["warehouse"].read("from monitoring.drift")
    assert sorted(table["events_through"].unique()) == [368, 416]


@pytest.mark.parametrize(
    ("response", "clicks_later", "fell"),
    [("click", 0, True), ("click", 2, False), ("listen", 0, True)],
)
def test_fewer_clicks_than_before_are_noticed_and_answers_counted(
    served, run_job, response, clicks_later, fell
):
    lists = pd.read_parquet(served.recommendations).query("rank <= 4")
    rows = []
    for place, shown in enumerate(lists.itertuples()):
        later = place >= len(lists) // 2
        at = START + timedelta(days=40 + later, seconds=place)
        one = {"list_id": shown.list_id, "user_id": shown.user_id, "item_id": shown.item_id}
        one["timestamp"] = at.isoformat()
        rows.append(one | {"feedback_id": f"s{place}", "response": "impression"})
        if place % 4 < (clicks_later if later else 2):
            rows.append(one | {"feedback_id": f"c{place}", "response": response})
    (served.landing_feedback / "f.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found, names = measured(served, run_job, "collect_feedback")
    assert ("click_through" in names) is fell
    half = len(lists) // 2
    assert found.loc["click_through", ["reference", "new"]].tolist() == [half, len(lists) - half]
    assert found.loc["click_through", "value"] == pytest.approx(0.5 - clicks_later / 4, abs=0.02)
    run_job("ingest")
    answered = history.latest_number(run_job.instance, "drift", "answers")
    assert answered == sum(row["response"] == response for row in rows) > 0
