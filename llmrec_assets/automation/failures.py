"""What happens when a run fails: what to do is logged, and told to LLMREC_ALERT_URL."""

import dagster as dg

from llmrec_assets.resources import alerts

# Commands tell of their own runs, also where no daemon looks.
COMMAND_TAG = "llmrec/command"


@dg.run_failure_sensor(default_status=dg.DefaultSensorStatus.RUNNING, minimum_interval_seconds=15)
def say_what_to_do_on_failure(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
    """Log the remedy of every failed step, and post it where somebody looks."""
    run = context.dagster_run
    if COMMAND_TAG in run.tags:
        return dg.SkipReason("a command told of it")
    alert = alerts.alert_of(run.run_id, run.job_name, context.get_step_failure_events())
    context.log.error(f"{alert.in_words()}\n{alerts.send(alert)}")
    return None


ALL = [say_what_to_do_on_failure]
