"""What many tests need: an empty data root, its resources, and the real data sets."""

import os
import shutil
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from llmrec_assets.definitions import defs
from llmrec_assets.layout import Layout
from llmrec_assets.resources import registry
from llmrec_assets.resources.wiring import resources_of

REAL_DATA = "LLMREC_TEST_DATA"

SIX_LINES = """user_id,item_id,timestamp,behavior
1,1001,1,browse
1,1002,2,browse
1,1003,3,buy
2,1001,1,browse
2,1003,4,browse
2,1004,5,buy
"""


@pytest.fixture(scope="session", autouse=True)
def migrated_once(tmp_path_factory):
    """MLflow migrates a new database for seconds: the first store's is copied for the others."""
    made, migrate = tmp_path_factory.mktemp("mlflow") / "mlflow.db", registry._new_database

    def copied(path: Path) -> None:
        if not made.exists():
            migrate(made)
        shutil.copyfile(made, path)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(registry, "_new_database", copied)
        yield


@pytest.fixture
def root(tmp_path):
    """An empty data root with its landing zone."""
    layout = Layout(tmp_path / "data")
    for folder in (layout.landing_events, layout.landing_items, layout.landing_feedback):
        folder.mkdir(parents=True)
    return layout


def on(resources):
    """The definitions on other resources."""
    kept = {"assets": defs.assets, "asset_checks": defs.asset_checks, "jobs": defs.jobs}
    return dg.Definitions(**kept, resources=resources, executor=defs.executor)


def runner(layout, instance):
    """A function that runs a job of the definitions on a root."""

    def run(name="full_loop", config=None, raise_on_error=True, encoder="bag_of_words"):
        resources = resources_of(layout)
        resources["encoder"] = type(resources["encoder"])(model=encoder)
        job = defs.resolve_job_def(name)
        if job.run_config is not None:  # it is bound to the resources that it was made with
            job = on(resources).resolve_job_def(name)
        return job.execute_in_process(
            instance=instance,
            resources=resources,
            run_config={"ops": {op: {"config": c} for op, c in (config or {}).items()}},
            raise_on_error=raise_on_error,
        )

    run.instance = instance
    return run


@pytest.fixture
def run_job(root):
    """Run a job of the definitions on `root`, on an instance of its own."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield runner(root, instance)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the real data sets; skips when the variable is not set, fails when wrong."""
    value = os.environ.get(REAL_DATA)
    if not value:
        pytest.skip(f"{REAL_DATA} is not set: it names a folder with ml-latest-small/events.csv")
    folder = Path(value)
    assert (folder / "ml-latest-small" / "events.csv").is_file(), (
        f"{REAL_DATA}={value} holds no ml-latest-small/events.csv"
    )
    return folder


def land_movielens(real_data, layout, users):
    """Land the events of MovieLens' first users, and their items; both frames."""
    source = real_data / "ml-latest-small"
    events = pd.read_csv(source / "events.csv", dtype=str)
    events = events[events["user_id"].astype(int) <= users]
    events.to_csv(layout.landing_events / "events.csv", index=False)
    items = pd.read_csv(source / "items.csv", dtype=str)
    items = items[items["item_id"].isin(events["item_id"])]
    items.to_csv(layout.landing_items / "items.csv", index=False)
    return events, items
