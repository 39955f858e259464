"""A warm start through the graph: from the champion's weights, judged like any challenger."""

import shutil
from datetime import UTC, datetime, timedelta

import dagster as dg
import pandas as pd
import pytest
import torch

from llmrec_assets.automation import history, jobs
from llmrec_assets.layout import Layout
from llmrec_assets.resources.wiring import resources_of
from llmrec_assets_tests.conftest import runner
from llmrec_assets_tests.who_serves import let_serve

START = datetime(2024, 3, 1, tzinfo=UTC)
TRAINING = {"max_epochs": 10, "width": 16}
QUICK = {"model_evaluation": {"global_time_split": False}}


def write(root, name, first, steps, items=12):
    """30 users go round the items, an hour a step from their step `first` on."""
    lines = ["user_id,item_id,timestamp,behavior"]
    for user in range(30):
        for step in range(first, first + steps):
            at = START + timedelta(hours=step, minutes=user)
            lines.append(f"u{user},i{(5 * user + step) % items:02d},{at.isoformat()},buy")
    (root.landing_events / f"{name}.csv").write_text("\n".join(lines))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A root whose model was trained on eight events of each user, and serves; and its version."""
    layout = Layout(tmp_path_factory.mktemp("served"))
    layout.landing_items.mkdir(parents=True)
    layout.landing_events.mkdir()
    titles = [f"i{n:02d},thing {n % 4} of kind {n % 3}" for n in range(12)]
    (layout.landing_items / "items.csv").write_text("\n".join(["item_id,title", *titles]))
    write(layout, "first", 0, 8)
    resources = resources_of(layout)
    with dg.DagsterInstance.ephemeral() as instance:
        runner(layout, instance)("ingest")
        runner(layout, instance)("retrain", config={"temporal_model": TRAINING, **QUICK})
    version = let_serve(layout)
    resources["registry"].promote(version, "a test")
    return layout.root, version


@pytest.fixture
def champion(root, store):
    shutil.copytree(store[0], root.root, dirs_exist_ok=True)
    return store[1]


def warm(root, run_job, **changed):
    """Run the job on new events; what temporal_model showed, and the package."""
    write(root, "second", 8, 4, items=14)
    run_job("ingest")
    config = {op: given["config"] for op, given in jobs.FROM_CHAMPION["ops"].items()}
    config["temporal_model"] = TRAINING | config["temporal_model"] | changed
    result = run_job("warm_start", config=config)
    (found,) = result.asset_materializations_for_node("temporal_model")
    shown = {name: entry.value for name, entry in found.metadata.items()}
    return shown, resources_of(root)["registry"].load(shown["model_version"])


def test_a_warm_start_goes_on_from_the_champion_and_is_judged(root, run_job, champion):
    shown, package = warm(root, run_job)
    assert shown["started_from"] == package.info.started_from == champion
    assert shown["fresh_through"] == package.info.fresh_through == 240
    assert package.info.trained_through == 360
    assert shown["config"]["max_epochs"] == TRAINING["max_epochs"] // 5
    assert len(package.info.items) == 14
    older = resources_of(root)["registry"].load(champion)
    for fit in ("evaluation", "final"):
        before, after = (getattr(p, fit)["item.weight"][1:13] for p in (older, package))
        fresh = torch.randn(12, TRAINING["width"]) * 0.1
        assert (before - after).norm() < (before - fresh).norm() / 2
    judged = resources_of(root)["warehouse"].read(
        "select distinct role from s5_model.model_evaluation where model_version = ?",
        [shown["model_version"]],
    )
    assert {"challenger", "champion", "baseline"} <= set(judged["role"])
    assert history.latest_number(run_job.instance, "champion_model", "judged_through") == 360
    assert pd.read_parquet(root.recommendations)["user_id"].nunique() == 30


def test_a_repeated_warm_start_is_the_same_version(root, run_job, champion):
    first, _ = warm(root, run_job)
    resources_of(root)["registry"].promote(champion, "a test")
    again, _ = warm(root, run_job)
    assert first["model_version"] == again["model_version"]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"network": "lstm"}, "it was trained with another network"),
        ({"width": 8}, "it was trained with another width"),
        ({"scaling": "min-max"}, "rating and value were scaled by z-score"),
    ],
)
def test_other_settings_start_afresh_and_say_so(root, run_job, champion, changed, reason, capfd):
    shown, package = warm(root, run_job, **changed)
    assert shown["started_from"] == "nothing"
    assert package.info.started_from == ""
    assert shown["fresh_through"] == 360
    assert shown["config"]["max_epochs"] == TRAINING["max_epochs"]
    assert reason in capfd.readouterr().err


def test_without_a_champion_a_warm_start_is_a_fresh_one(root, run_job, champion, capfd):
    resources_of(root)["registry"].demote()
    shown, _ = warm(root, run_job)
    assert shown["started_from"] == "nothing"
    assert "no model serves" in capfd.readouterr().err
