"""What launches runs by itself when data arrives. On from the start; the UI can turn each off."""

import json
from dataclasses import asdict

import dagster as dg

from llmrec_assets.automation import history, jobs, news
from llmrec_assets.core.next_work import Rules, choose
from llmrec_assets.resources.landing import Landing
from llmrec_assets.settings import setting

RULES = Rules(
    min_events=setting("MIN_NEW_EVENTS", 1000, minimum=1),
    min_answers=setting("MIN_NEW_ANSWERS", 200, minimum=1),
    cooldowns={
        "refresh_lists": 60 * setting("COOLDOWN_LISTS", 10.0, minimum=0),
        "warm_start": 60 * setting("COOLDOWN_WARM_START", 60.0, minimum=0),
        "retrain": 60 * setting("COOLDOWN_RETRAIN", 1440.0, minimum=0),
        "retrain_with_encoder": 60 * setting("COOLDOWN_ENCODER", 10080.0, minimum=0),
    },
    max_failures=history.MAX_ATTEMPTS,
)
SECONDS = setting("SENSOR_SECONDS", 15, minimum=1)
Decision = dg.RunRequest | dg.SkipReason


@dg.sensor(
    job=jobs.ingest,
    minimum_interval_seconds=SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def ingest_new_files(context: dg.SensorEvaluationContext, landing: Landing) -> Decision:
    """Take in files of events and items that the last ingestion did not see."""
    found = {kind: landing.fingerprint(kind) for kind in ("events", "items")}
    known = {
        "events": history.latest(context.instance, "raw_events", "landing_fingerprint"),
        "items": history.latest(context.instance, "raw_items", "landing_fingerprint"),
    }
    if found == known or (not landing.has_files("events", "items") and not any(known.values())):
        return dg.SkipReason("no new file of events or items")
    if history.in_flight(context.instance, jobs.ingest.name, jobs.full_loop.name):
        return dg.SkipReason("an ingestion is in flight")
    state = "-".join(found.values())
    return history.request(context.instance, jobs.ingest.name, "landing", state)


@dg.sensor(
    job=jobs.collect_feedback,
    minimum_interval_seconds=SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def collect_new_feedback(context: dg.SensorEvaluationContext, landing: Landing) -> Decision:
    """Take in files of feedback, and of lists, that the last collection did not see."""
    found = landing.fingerprint("feedback", "lists")
    if not landing.has_files("feedback", "lists") or found == history.latest(
        context.instance, "feedback", "landing_fingerprint"
    ):
        return dg.SkipReason("no new file of feedback")
    if history.latest(context.instance, "recommendations", "dagster/row_count") is None:
        return dg.SkipReason("feedback waits for the first recommendations")
    if history.in_flight(context.instance, jobs.collect_feedback.name, jobs.full_loop.name):
        return dg.SkipReason("a collection is in flight")
    return history.request(context.instance, jobs.collect_feedback.name, "landing", found)


@dg.sensor(
    jobs=jobs.WORKS,
    minimum_interval_seconds=SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def learn_from_new_data(context: dg.SensorEvaluationContext) -> Decision:
    """The cheapest work that is enough for what came in: new lists, a warm start, a retraining.

    The cursor holds the numbers that the last tick weighed.
    """
    working = [job.name for job in (*jobs.WORKS, jobs.full_loop)]
    if history.in_flight(context.instance, *working):
        return dg.SkipReason("new lists or a training are in flight")
    states = news.states(context.instance)
    now = news.gather(context.instance, states)
    context.update_cursor(json.dumps(asdict(now)))
    choice = choose(now, RULES)
    if choice.work is None:
        return dg.SkipReason(choice.reason)
    tag, state = states[choice.work]
    runs = history.attempts(context.instance, choice.work, tag, state).runs
    config = jobs.FROM_CHAMPION if choice.work == jobs.warm_start.name else None
    return history.run_request(choice.work, tag, state, runs, choice.reason, config)


ALL = [ingest_new_files, collect_new_feedback, learn_from_new_data]
