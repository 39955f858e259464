"""Packages once a session, and services over them: in this process, or as their own."""

import dagster as dg
import pytest

from llmrec_assets.layout import Layout
from llmrec_assets_tests.conftest import runner
from llmrec_assets_tests.serving.process import Process
from llmrec_assets_tests.serving.store import make_store


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    layout = Layout(tmp_path_factory.mktemp("pipeline") / "data")
    for folder in (layout.landing_events, layout.landing_items, layout.landing_feedback):
        folder.mkdir(parents=True)
    with dg.DagsterInstance.ephemeral() as instance:
        return make_store(layout, runner(layout, instance), tmp_path_factory.mktemp("packages"))


@pytest.fixture
def serving_root(store, tmp_path):
    """A data root with the older package."""
    return store.root(tmp_path / "data")


@pytest.fixture
def start(serving_root):
    """Start `llmrec serve` on the root, as often as a test likes; all are stopped at its end."""
    started = []

    def begin(*arguments, ready=True, **environment):
        process = Process(serving_root, *arguments, **environment)
        started.append(process)
        if ready:
            process.wait_until_ready()
        return process

    yield begin
    for process in started:
        process.kill()


@pytest.fixture(scope="module")
def shared(store, tmp_path_factory):
    """One service for all tests of a module that leave no trace that others would meet."""
    process = Process(store.root(tmp_path_factory.mktemp("shared") / "data"))
    try:
        process.wait_until_ready()
        yield process
    finally:
        process.kill()
