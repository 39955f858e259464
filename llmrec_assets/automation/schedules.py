"""What runs by the clock."""

from typing import Literal

import dagster as dg

from llmrec_assets.automation import history, jobs
from llmrec_assets.resources.landing import Landing
from llmrec_assets.settings import setting

RETENTION_DAYS = setting("RETENTION_DAYS", 0, minimum=0)


@dg.schedule(
    job=jobs.full_loop,
    cron_schedule="0 3 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def daily_loop(
    context: dg.ScheduleEvaluationContext, landing: Landing
) -> dg.RunRequest | dg.SkipReason:
    """Every night the whole loop once, where there is something that the last one did not know."""
    if not (_new_events(context.instance, landing) or _new_items(context.instance, landing)):
        return dg.SkipReason("no event and no item since the last training")
    if history.in_flight(context.instance, *(job.name for job in (*jobs.WORKS, jobs.full_loop))):
        return dg.SkipReason("new lists or a training are in flight")
    return dg.RunRequest(run_key=f"{context.scheduled_execution_time:%Y-%m-%d}")


def _new_events(instance: dg.DagsterInstance, landing: Landing) -> bool:
    """Whether there are events that no challenger was judged with."""
    ingested = history.latest_number(instance, "raw_events", "max_seq")
    judged = history.latest_number(instance, "champion_model", "judged_through")
    return ingested > judged or _wait(instance, landing, "events")


def _new_items(instance: dg.DagsterInstance, landing: Landing) -> bool:
    """Whether there are items that the newest model was not trained with, or no list knows.

    Without any event there is nothing to learn or to recommend.
    """
    if not history.latest_number(instance, "raw_events", "max_seq"):
        return False
    ingested = history.latest_number(instance, "raw_items", "max_seq")
    trained = history.latest_number(instance, "temporal_model", "items_through")
    listed = history.latest_number(instance, "recommendations", "items_through")
    return ingested > min(trained, listed) or _wait(instance, landing, "items")


def _wait(instance: dg.DagsterInstance, landing: Landing, kind: Literal["events", "items"]) -> bool:
    """Whether the landing zone holds files that the last ingestion did not see."""
    known = history.latest(instance, f"raw_{kind}", "landing_fingerprint")
    return landing.has_files(kind) and landing.fingerprint(kind) != known


@dg.schedule(
    job=jobs.expire,
    cron_schedule="0 2 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def daily_expiry(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Every night forget what is older than LLMREC_RETENTION_DAYS, where that is set."""
    if not RETENTION_DAYS:
        return dg.SkipReason("LLMREC_RETENTION_DAYS is 0: everything is kept")
    if history.latest(context.instance, "recommendations", "dagster/row_count") is None:
        return dg.SkipReason("nothing came in yet")
    if history.in_flight(context.instance, jobs.full_loop.name):  # others it waits for
        return dg.SkipReason("the loop is in flight, which forgets too")
    return dg.RunRequest(run_key=f"{context.scheduled_execution_time:%Y-%m-%d}")


ALL = [daily_loop, daily_expiry]
