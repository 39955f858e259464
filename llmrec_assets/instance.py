"""The Dagster instance of one data root: one root, one instance, so no two share history."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from llmrec_assets.layout import ROOT_VARIABLE, Layout
from llmrec_assets.resources.cut_uploads import remove_cut_uploads
from llmrec_assets.run_health import START_SECONDS, WatchedRunLauncher, forget, lives

COMMAND_TAG = "llmrec/command"
MAX_SECONDS = 21_600
DATABASES = ("history/runs.db", "history/runs/index.db", "schedules/schedules.db")
WORKING = [
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


class RootIsBusy(Exception):
    """Another llmrec command works on the same root."""


def instance_config(home: str) -> dict[str, Any]:
    """What dagster.yaml says, with all state below the folder `home`."""
    return {
        "storage": {"sqlite": {"base_dir": home}},
        "local_artifact_storage": {
            "module": "dagster._core.storage.root",
            "class": "LocalArtifactStorage",
            "config": {"base_dir": home},
        },
        "compute_logs": {
            "module": "dagster._core.storage.local_compute_log_manager",
            "class": "LocalComputeLogManager",
            "config": {"base_dir": f"{home}/logs"},
        },
        "concurrency": {
            "runs": {
                "max_concurrent_runs": 2,
                "tag_concurrency_limits": [{"key": "llmrec/exclusive", "limit": 1}],
            },
            "pools": {"default_limit": 1, "granularity": "op"},
        },
        "run_launcher": {
            "module": WatchedRunLauncher.__module__,
            "class": WatchedRunLauncher.__name__,
        },
        "run_monitoring": {
            "enabled": True,
            "poll_interval_seconds": 15,
            "start_timeout_seconds": START_SECONDS,
            "max_runtime_seconds": MAX_SECONDS,
            "free_slots_after_run_end_seconds": 10,  # of the pools, where the run was killed
        },
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},
    }


def prepare(layout: Layout) -> None:
    """Make the root's folders, dagster.yaml and databases, and point this process at them."""
    for folder in (
        layout.landing_events,
        layout.landing_items,
        layout.landing_feedback,
        layout.dagster_home,
    ):
        folder.mkdir(parents=True, exist_ok=True)
    os.environ[ROOT_VARIABLE] = str(layout.root)
    os.environ["DAGSTER_HOME"] = str(layout.dagster_home)
    home = layout.dagster_home
    with (home / "prepare.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _configure(home)
        if not all((home / database).exists() for database in DATABASES):
            with dg.DagsterInstance.get():
                pass  # Dagster has made them: two processes cannot at one moment


def _configure(home: Path) -> None:
    """Write dagster.yaml where it says something else; who reads it meanwhile finds it whole."""
    text = yaml.safe_dump(instance_config(str(home)), sort_keys=False)
    path, partial = home / "dagster.yaml", home / ".dagster.yaml"
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


@contextmanager
def exclusive(layout: Layout) -> Iterator[dg.DagsterInstance]:
    """The root's instance, while nothing else works on it.

    Raises:
        RootIsBusy: another command, or a run of a living daemon, works on the root.
    """
    prepare(layout)
    with (layout.dagster_home / "command.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RootIsBusy(f"another llmrec command is working on {layout.root}") from error
        with dg.DagsterInstance.get() as instance:
            living, killed = _bury(instance)
            if killed and not living:
                remove_cut_uploads(layout.mlflow_artifacts)
            if living:
                raise RootIsBusy(
                    f"Dagster's daemon works on {layout.root} (run {living[0]}): wait for it"
                )
            yield instance


def bury_killed_runs(layout: Layout) -> None:
    """Prepare the root, and mark runs whose process was killed as failed, where that is certain."""
    try:
        with exclusive(layout):
            pass
    except RootIsBusy:
        pass  # somebody is alive here, and sees to what was killed before


def _bury(instance: dg.DagsterInstance) -> tuple[list[str], list[str]]:
    """Fail the runs whose process is dead and free their pool slots.

    The caller holds the lock of commands, so no other command is alive.

    Returns:
        (ids of the runs that live, of those that were killed).
    """
    living, killed = [], []
    for run in instance.get_runs(dg.RunsFilter(statuses=WORKING)):
        if COMMAND_TAG not in run.tags and lives(instance, run):
            living.append(run.run_id)
            continue
        instance.report_run_failed(run, "the process that ran it was killed")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
        forget(instance.root_directory, run.run_id)
        killed.append(run.run_id)
    return living, killed
