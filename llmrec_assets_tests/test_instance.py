"""Who may work on a root: one command, and none beside a living run of the daemon."""

import subprocess
import sys
from contextlib import ExitStack, contextmanager

import dagster as dg
import pytest
from dagster._core.launcher.base import WorkerStatus
from mlflow.store.artifact.local_artifact_repo import _TEMP_ARTIFACT_PREFIX

from llmrec_assets import run_health
from llmrec_assets.definitions import defs
from llmrec_assets.instance import COMMAND_TAG, RootIsBusy, bury_killed_runs, exclusive, prepare
from llmrec_assets.run_health import FOLDER, START_SECONDS, process_lives

COMMAND = """
from llmrec_assets.instance import exclusive
from llmrec_assets.layout import Layout

with exclusive(Layout.from_environment()):
    print("at work", flush=True)
    input()
"""

FIRST = """
import sys
import time
from pathlib import Path

import dagster as dg

from llmrec_assets.instance import prepare
from llmrec_assets.layout import Layout

print("at work", flush=True)
while not Path(sys.argv[1]).exists():
    time.sleep(0.001)
prepare(Layout.from_environment())
with dg.DagsterInstance.get() as instance:
    print(instance.get_runs_count())
"""

RUN = """
import sys
from llmrec_assets.run_health import hold

hold(*sys.argv[1:])
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
def process(code, *arguments):
    """A process that has begun its work and goes on until it is killed."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as begun:
        assert begun.stdout and begun.stdout.readline() == "at work\n"
        yield begun
        begun.kill()


def started_run(instance, **tags):
    run = dg.DagsterRun("full_loop", status=dg.DagsterRunStatus.STARTED, tags=tags)
    return instance.add_run(run).run_id


def test_no_command_works_beside_a_living_run_of_the_daemon(prepared, history):
    run, killed = started_run(history), started_run(history, **{COMMAND_TAG: "true"})
    with process(RUN, prepared.dagster_home, run):
        refusal = pytest.raises(RootIsBusy, match=rf"daemon works on .* \(run {run}\)")
        with refusal, exclusive(prepared):
            pytest.fail("a command works beside the daemon")
        bury_killed_runs(prepared)
        assert history.get_run_by_id(run).status == dg.DagsterRunStatus.STARTED
        assert history.get_run_by_id(killed).status == dg.DagsterRunStatus.FAILURE
    with exclusive(prepared):  # at once: its lock is free
        assert history.get_run_by_id(run).status == dg.DagsterRunStatus.FAILURE
    assert not list((prepared.dagster_home / FOLDER).iterdir())


def test_an_upload_that_a_kill_cut_goes_when_nobody_works(prepared, history):
    run, _ = started_run(history), started_run(history, **{COMMAND_TAG: "true"})
    whole = prepared.mlflow_artifacts / "a" / "artifacts" / "package" / "package.json"
    cut = whole.with_name(f"{_TEMP_ARTIFACT_PREFIX}x")
    whole.parent.mkdir(parents=True)
    for path in (whole, cut):
        path.write_text("{}")
    with process(RUN, prepared.dagster_home, run):
        bury_killed_runs(prepared)
        assert cut.exists()  # the living run may be writing it
    with exclusive(prepared):
        assert whole.exists()
        assert not cut.exists()


def test_a_run_without_a_lock_may_be_on_its_way_for_a_minute(prepared, history, monkeypatch):
    run = started_run(history)
    with pytest.raises(RootIsBusy), exclusive(prepared):
        pytest.fail("the run may be about to start")
    now = run_health.time.time()
    monkeypatch.setattr(run_health.time, "time", lambda: now + START_SECONDS + 1)
    with exclusive(prepared):
        assert history.get_run_by_id(run).status == dg.DagsterRunStatus.FAILURE


def test_the_launcher_of_the_root_knows_a_dead_run(prepared, history):
    run = history.get_run_by_id(started_run(history))
    with process(RUN, prepared.dagster_home, run.run_id):
        assert health(history, run) == WorkerStatus.RUNNING
    assert health(history, run) == WorkerStatus.FAILED


def health(history, run):
    launcher = history.run_launcher
    assert launcher.supports_check_run_worker_health
    return launcher.check_run_worker_health(run).status


@dg.op
def holds_its_lock(context: dg.OpExecutionContext):
    assert process_lives(context.instance.root_directory, context.run_id)


@dg.job(executor_def=defs.executor)
def one_step():
    holds_its_lock()


def test_a_run_holds_its_lock_beyond_its_end(prepared, history):
    result = dg.execute_job(dg.reconstructable(one_step), history)
    assert result.success
    assert process_lives(history.root_directory, result.run_id)


def test_no_command_works_beside_another_until_that_is_killed(prepared, history):
    run = started_run(history, **{COMMAND_TAG: "true"})
    with process(COMMAND) as command:
        newer = started_run(history, **{COMMAND_TAG: "true"})
        with pytest.raises(RootIsBusy, match="another llmrec command"), exclusive(prepared):
            pytest.fail("two commands work at once")
        bury_killed_runs(prepared)
        assert history.get_run_by_id(run).status == dg.DagsterRunStatus.FAILURE
        assert history.get_run_by_id(newer).status == dg.DagsterRunStatus.STARTED
        command.kill()
        command.wait(10)
        with exclusive(prepared):
            assert history.get_run_by_id(newer).status == dg.DagsterRunStatus.FAILURE


def test_processes_that_come_first_make_the_databases_once(root, monkeypatch, tmp_path):
    monkeypatch.setenv("LLMREC_DATA_DIR", str(root.root))
    gate = tmp_path / "open"
    with ExitStack() as stack:
        first = [stack.enter_context(process(FIRST, gate)) for _ in range(4)]
        gate.touch()
        assert [command.stdout.readline() for command in first] == ["0\n"] * len(first)
        assert [command.wait(60) for command in first] == [0] * len(first)
    assert not (root.dagster_home / ".dagster.yaml").exists()
