"""What sensors and schedules know: metadata of successful materialisations, and runs.

They read no data. A failed run moves nothing here, so its work is asked for again.
"""

import time

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


def request(
    instance: dg.DagsterInstance, job_name: str, tag: str, state: str
) -> dg.RunRequest | dg.SkipReason:
    """Ask for a run that would deal with `state`, unless one just tried or several failed.

    The run key holds the number of runs before, so that a failed run is tried again and a tick
    repeated by chance is not.
    """
    tags = {f"llmrec/{tag}": state}
    records = instance.get_run_records(dg.RunsFilter(job_name=job_name, tags=tags))
    runs = [record.dagster_run for record in records]
    failures = sum(run.status == dg.DagsterRunStatus.FAILURE for run in runs)
    if failures >= MAX_ATTEMPTS:
        return dg.SkipReason(
            f"gave up on {tag} {state} after {failures} failed runs of {job_name}: look at the"
            f" last one, then launch {job_name} by hand"
        )
    if records:
        age = time.time() - max(record.create_timestamp.timestamp() for record in records)
        # Longer each time: a file may be held open for hours.
        if age < RETRY_SECONDS * 2 ** min(len(records) - 1, 6):
            return dg.SkipReason(f"{job_name} ran for {tag} {state} {age:.0f} s ago")
    return dg.RunRequest(run_key=f"{state}-{len(runs)}", tags=tags)
