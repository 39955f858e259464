"""Who may work on a root: one command, and none beside a daemon at work."""

import subprocess
import sys
import time
from contextlib import contextmanager

import dagster as dg
import pytest

from llmrec_assets.instance import (
    COMMAND_TAG,
    HEARTBEAT_SECONDS,
    RootIsBusy,
    bury_killed_runs,
    exclusive,
    prepare,
)
from llmrec_assets_tests.test_loop import process_group

COMMAND = """
from llmrec_assets.instance import exclusive
from llmrec_assets.layout import Layout

with exclusive(Layout.from_environment()):
    print("at work", flush=True)
    input()
"""


@pytest.fixture
def prepared(root, monkeypatch):
    """A root that this process and its children are pointed at."""
    for name in ("DAGSTER_HOME", "LLMREC_DATA_DIR"):
        monkeypatch.setenv(name, "")  # so that what `prepare` sets is undone
    prepare(root)
    return root


@pytest.fixture
def history(prepared):
    with dg.DagsterInstance.from_config(str(prepared.dagster_home)) as instance:
        yield instance


@contextmanager
def daemon(instance, folder):
    """A real daemon of the instance, from when its heart beats until it is killed."""
    workspace, log = folder / "workspace.yaml", folder / "daemon.txt"
    workspace.write_text("load_from: []")
    command = [sys.executable, "-m", "dagster._daemon", "run", "-w", str(workspace)]
    with process_group(command, log, cwd=folder) as process:
        deadline = time.monotonic() + 60
        while not instance.get_daemon_heartbeats():
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield


def started_run(instance, **tags):
    run = dg.DagsterRun("full_loop", status=dg.DagsterRunStatus.STARTED, tags=tags)
    return instance.add_run(run).run_id


def test_no_command_works_beside_a_run_of_a_living_daemon(prepared, history, tmp_path):
    with daemon(history, tmp_path):
        with exclusive(prepared):  # a daemon that works on nothing is in nobody's way
            run = started_run(history)
            killed = started_run(history, **{COMMAND_TAG: "true"})
        refusal = pytest.raises(RootIsBusy, match=rf"daemon works on .* \(run {run}\)")
        with refusal, exclusive(prepared):
            pytest.fail("a command works beside the daemon")
        bury_killed_runs(prepared)
    assert history.get_run_by_id(run).status == dg.DagsterRunStatus.STARTED
    assert history.get_run_by_id(killed).status == dg.DagsterRunStatus.FAILURE


def test_the_run_of_a_killed_daemon_is_in_the_way_until_its_heart_stood_still(
    prepared, history, tmp_path
):
    with daemon(history, tmp_path):
        run = started_run(history)
    with pytest.raises(RootIsBusy, match=f"killed, for {HEARTBEAT_SECONDS}"), exclusive(prepared):
        pytest.fail("the daemon may be alive")
    for beat in history.get_daemon_heartbeats().values():
        past = beat.timestamp - HEARTBEAT_SECONDS
        history.add_daemon_heartbeat(beat._replace(timestamp=past))
    with exclusive(prepared):
        assert history.get_run_by_id(run).status == dg.DagsterRunStatus.FAILURE


def test_no_command_works_beside_another_until_that_is_killed(prepared, history):
    run = started_run(history, **{COMMAND_TAG: "true"})
    with subprocess.Popen(
        [sys.executable, "-c", COMMAND], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as command:
        assert command.stdout and command.stdout.readline() == "at work\n"
        newer = started_run(history, **{COMMAND_TAG: "true"})
        with pytest.raises(RootIsBusy, match="another llmrec command"), exclusive(prepared):
            pytest.fail("two commands work at once")
        bury_killed_runs(prepared)
        assert history.get_run_by_id(run).status == dg.DagsterRunStatus.FAILURE
        assert history.get_run_by_id(newer).status == dg.DagsterRunStatus.STARTED
        command.kill()
    with exclusive(prepared):
        assert history.get_run_by_id(newer).status == dg.DagsterRunStatus.FAILURE
