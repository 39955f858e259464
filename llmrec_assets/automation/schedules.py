"""What runs by the clock."""

import dagster as dg

from llmrec_assets.automation import history, jobs
from llmrec_assets.resources.landing import Landing


@dg.schedule(
    job=jobs.full_loop,
    cron_schedule="0 3 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
)
def daily_loop(
    context: dg.ScheduleEvaluationContext, landing: Landing
) -> dg.RunRequest | dg.SkipReason:
    """Every night the whole loop once, where an event is newer than the newest lists know."""
    ingested = history.latest_number(context.instance, "raw_events", "max_seq")
    judged = history.latest_number(context.instance, "champion_model", "judged_through")
    known = history.latest(context.instance, "raw_events", "landing_fingerprint")
    waiting = landing.has_files("events") and landing.fingerprint("events") != known
    if ingested <= judged and not waiting:
        return dg.SkipReason("no event since the last lists")
    if history.in_flight(context.instance, jobs.full_loop.name, jobs.retrain.name):
        return dg.SkipReason("a training is in flight")
    return dg.RunRequest(run_key=f"{context.scheduled_execution_time:%Y-%m-%d}")


ALL = [daily_loop]
