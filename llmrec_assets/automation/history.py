"""What sensors and schedules know: metadata of successful materialisations, and runs.

They read no data. A failed run moves nothing here, so its work is asked for again.
"""

import time
from dataclasses import dataclass
from itertools import takewhile
from math import inf
from typing import Any

import dagster as dg

from llmrec_assets.settings import setting

MAX_ATTEMPTS = 3
RETRY_SECONDS = setting("RETRY_SECONDS", 60, minimum=0)

IN_FLIGHT = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def latest(instance: dg.DagsterInstance, asset: str, key: str) -> object | None:
    """A metadata value of the asset's latest materialisation; None where there is none."""
    event = instance.get_latest_materialization_event(dg.AssetKey(asset))
    if event is None or event.asset_materialization is None:
        return None
    entry = event.asset_materialization.metadata.get(key)
    return None if entry is None else entry.value


def latest_number(instance: dg.DagsterInstance, asset: str, key: str) -> int:
    """`latest` as a number; 0 where there is none."""
    return int(str(latest(instance, asset, key) or 0))


def in_flight(instance: dg.DagsterInstance, *job_names: str) -> bool:
    """Whether a run of one of the jobs waits or works."""
    return any(
        instance.get_runs(dg.RunsFilter(job_name=name, statuses=IN_FLIGHT), limit=1)
        for name in job_names
    )


def seconds_since(instance: dg.DagsterInstance, asset: str) -> float:
    """How long ago the asset was last materialised; infinite for never."""
    event = instance.get_latest_materialization_event(dg.AssetKey(asset))
    return inf if event is None else time.time() - event.timestamp


def seconds_since_success(instance: dg.DagsterInstance, *job_names: str) -> float:
    """How long ago a run of one of the jobs last succeeded; infinite for never."""
    found = [
        record.end_time
        for name in job_names
        for record in instance.get_run_records(
            dg.RunsFilter(job_name=name, statuses=[dg.DagsterRunStatus.SUCCESS]), limit=1
        )
        if record.end_time
    ]
    return time.time() - max(found) if found else inf


@dataclass(frozen=True)
class Attempts:
    """The runs of a job that would have dealt with one state."""

    runs: int
    failures: int
    wait: float  # seconds until the next one; 0 for at once
    age: float  # seconds since the newest; infinite without one


def attempts(instance: dg.DagsterInstance, job_name: str, tag: str, state: str) -> Attempts:
    """What was tried for `state`. The wait grows with every run: a file may be held for hours."""
    tags = {f"llmrec/{tag}": state}
    records = instance.get_run_records(dg.RunsFilter(job_name=job_name, tags=tags))
    failures = sum(map(_failed, records))
    if not records:
        return Attempts(0, 0, 0.0, inf)
    age = time.time() - max(record.create_timestamp.timestamp() for record in records)
    pause = RETRY_SECONDS * 2 ** min(len(records) - 1, 6)
    return Attempts(len(records), failures, max(0.0, pause - age), age)


def wait_after_failures(instance: dg.DagsterInstance, job_name: str) -> float:
    """Seconds until a job whose newest runs failed may try again, whatever is new since.

    Without it, a job that cannot succeed would be tried again with every new event.
    """
    records = instance.get_run_records(dg.RunsFilter(job_name=job_name), limit=7)
    failed = list(takewhile(_failed, records))
    if not failed:
        return 0.0
    pause = RETRY_SECONDS * 2 ** (len(failed) - 1)
    return max(0.0, pause - (time.time() - failed[0].create_timestamp.timestamp()))


def _failed(record: dg.RunRecord) -> bool:
    return record.dagster_run.status == dg.DagsterRunStatus.FAILURE


def run_request(
    job_name: str,
    tag: str,
    state: str,
    runs: int,
    why: str = "",
    config: dict[str, Any] | None = None,
) -> dg.RunRequest:
    """A run for `state` after so many before.

    Its key holds their number, so that a failed run is tried again and a tick repeated by chance
    is not.
    """
    return dg.RunRequest(
        run_key=f"{job_name}-{state}-{runs}",
        job_name=job_name,
        run_config=config or {},
        tags={f"llmrec/{tag}": state} | ({"llmrec/why": why} if why else {}),
    )


def request(
    instance: dg.DagsterInstance, job_name: str, tag: str, state: str
) -> dg.RunRequest | dg.SkipReason:
    """Ask for a run that would deal with `state`, unless one just tried or several failed."""
    tried = attempts(instance, job_name, tag, state)
    if tried.failures >= MAX_ATTEMPTS:
        return dg.SkipReason(
            f"gave up on {tag} {state} after {tried.failures} failed runs of {job_name}: look at"
            f" the last one, then launch {job_name} by hand"
        )
    if tried.wait > 0:
        return dg.SkipReason(f"{job_name} ran for {tag} {state} {tried.age:.0f} s ago")
    return run_request(job_name, tag, state, tried.runs)
