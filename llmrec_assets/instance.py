"""The Dagster instance of one data root: one root, one instance, so no two share history."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import dagster as dg
import yaml

from llmrec_assets.layout import ROOT_VARIABLE, Layout

COMMAND_TAG = "llmrec/command"
MAX_SECONDS = 21_600


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
        "run_monitoring": {"enabled": True, "max_runtime_seconds": MAX_SECONDS},
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},
    }


def prepare(layout: Layout) -> None:
    """Make the root's folders and its dagster.yaml, and point this process at them."""
    for folder in (
        layout.landing_events,
        layout.landing_items,
        layout.landing_feedback,
        layout.dagster_home,
    ):
        folder.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(instance_config(str(layout.dagster_home)), sort_keys=False)
    (layout.dagster_home / "dagster.yaml").write_text(text, encoding="utf-8")
    os.environ[ROOT_VARIABLE] = str(layout.root)
    os.environ["DAGSTER_HOME"] = str(layout.dagster_home)


@contextmanager
def exclusive(layout: Layout) -> Iterator[dg.DagsterInstance]:
    """The root's instance, while no other command runs on it.

    Runs of commands that were killed are marked as failed and their pool slots freed: whoever
    holds the lock knows that no other command is alive.

    Raises:
        RootIsBusy: another command holds the root.
    """
    prepare(layout)
    with (layout.dagster_home / "command.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RootIsBusy(f"another llmrec command is working on {layout.root}") from error
        with dg.DagsterInstance.get() as instance:
            _bury_killed_runs(instance)
            yield instance


def _bury_killed_runs(instance: dg.DagsterInstance) -> None:
    statuses = [
        dg.DagsterRunStatus.NOT_STARTED,
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
        dg.DagsterRunStatus.CANCELING,
    ]
    filters = dg.RunsFilter(tags={COMMAND_TAG: "true"}, statuses=statuses)
    for run in instance.get_runs(filters):
        instance.report_run_failed(run, "the llmrec command that ran it was killed")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)
