"""Whether the process of a run is alive: it holds a locked file for as long as it lives.

Dagster's default launcher cannot tell a run that was killed from one that works. The kernel frees
the lock of a dead process whatever killed it; unlike a process number it is never given to another
process, and unlike an age it does not depend on the clock.
"""

import fcntl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import dagster as dg
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus

START_SECONDS = 60  # within which a run that was launched holds its lock
FOLDER = "run_locks"
_held: list[IO[bytes]] = []


def hold(home: str, run_id: str) -> None:
    """Lock the file of a run until this process ends: after the run's last event, not with it."""
    folder = Path(home) / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    file = (folder / run_id).open("wb")
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    _held.append(file)


def forget(home: str, run_id: str) -> None:
    """Remove the file of a run that is over."""
    (Path(home) / FOLDER / run_id).unlink(missing_ok=True)


def process_lives(home: str, run_id: str) -> bool | None:
    """Whether a process holds the lock of the run; None where none ever did."""
    try:
        file = (Path(home) / FOLDER / run_id).open("rb")
    except FileNotFoundError:
        return None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def lives(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether the run's process is alive, or was launched so lately that it may be on its way."""
    held = process_lives(instance.root_directory, run.run_id)
    if held is not None:
        return held
    record = instance.get_run_record_by_id(run.run_id)
    launched = record.update_timestamp.timestamp() if record else 0.0
    return time.time() - launched < START_SECONDS


class WatchedRunLauncher(dg.DefaultRunLauncher):
    """Dagster's own launcher, whose runs the daemon's run monitoring finds dead when they are."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """True: run monitoring asks."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """FAILED where nobody holds the run's lock any more."""
        if lives(self._instance, run):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        forget(self._instance.root_directory, run.run_id)
        return CheckRunHealthResult(WorkerStatus.FAILED, "the process that ran it was killed")


class _WatchedExecutor(dg.Executor):
    """Another executor, under the run's lock."""

    def __init__(self, inner: dg.Executor) -> None:
        self.inner = inner

    @property
    def retries(self) -> Any:  # noqa: ANN401 - Dagster's RetryMode is internal
        """Those of the other."""
        return self.inner.retries

    @property
    def step_dependency_config(self) -> Any:  # noqa: ANN401 - internal as well
        """That of the other."""
        return self.inner.step_dependency_config

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[Any]:  # noqa: ANN401
        """Hold the lock, then execute as the other does."""
        hold(plan_context.instance.root_directory, plan_context.run_id)
        yield from self.inner.execute(plan_context, execution_plan)


_CONFIG: Any = dg.in_process_executor.config_schema  # of a kind that the decorator takes too


@dg.executor(name="watched_in_process", config_schema=_CONFIG)
def watched_in_process_executor(context: dg.InitExecutorContext) -> dg.Executor:
    """All steps of a run in its one process, which is known to be alive or not."""
    make = dg.in_process_executor.executor_creation_fn
    if make is None:
        raise RuntimeError("Dagster's in-process executor cannot be made")
    return _WatchedExecutor(make(context))
