"""What launches runs by itself when data arrives. On from the start; the UI can turn each off."""

import dagster as dg

from llmrec_assets.automation import history, jobs
from llmrec_assets.resources.landing import Landing
from llmrec_assets.settings import setting

MIN_NEW_EVENTS = setting("MIN_NEW_EVENTS", 1000, minimum=1)
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
    """Take in files of feedback that the last collection did not see."""
    found = landing.fingerprint("feedback")
    if not landing.has_files("feedback") or found == history.latest(
        context.instance, "feedback", "landing_fingerprint"
    ):
        return dg.SkipReason("no new file of feedback")
    if history.latest(context.instance, "recommendations", "dagster/row_count") is None:
        return dg.SkipReason("feedback waits for the first recommendations")
    if history.in_flight(context.instance, jobs.collect_feedback.name, jobs.full_loop.name):
        return dg.SkipReason("a collection is in flight")
    return history.request(context.instance, jobs.collect_feedback.name, "landing", found)


@dg.sensor(
    job=jobs.retrain,
    minimum_interval_seconds=SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def retrain_on_new_events(context: dg.SensorEvaluationContext) -> Decision:
    """Retrain when enough events arrived that the last judged challenger never saw.

    Promoted or not: a challenger that lost is not trained again on the same events.
    """
    ingested = history.latest_number(context.instance, "raw_events", "max_seq")
    judged = history.latest(context.instance, "champion_model", "judged_through")
    fresh = ingested - int(str(judged or 0))
    needed = MIN_NEW_EVENTS if judged is not None else 1
    if fresh < needed:
        return dg.SkipReason(f"{fresh} events that no challenger saw, {needed} needed")
    if history.in_flight(context.instance, jobs.retrain.name, jobs.full_loop.name):
        return dg.SkipReason("a training is in flight")
    return history.request(context.instance, jobs.retrain.name, "watermark", str(ingested))


@dg.sensor(
    job=jobs.refresh_lists,
    minimum_interval_seconds=SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def refresh_on_new_items(context: dg.SensorEvaluationContext) -> Decision:
    """Draw new lists when items came in, or changed, that the newest lists do not know.

    Nothing is trained: whoever serves ranks an item it never saw by the item's text.
    """
    ingested = history.latest_number(context.instance, "raw_items", "max_seq")
    if ingested <= history.latest_number(context.instance, "recommendations", "items_through"):
        return dg.SkipReason("no item that the newest lists do not know")
    if history.latest(context.instance, "recommendations", "dagster/row_count") is None:
        return dg.SkipReason("new items wait for the first recommendations")
    working = (jobs.refresh_lists.name, jobs.retrain.name, jobs.full_loop.name)
    if history.in_flight(context.instance, *working):
        return dg.SkipReason("new lists are in flight")
    return history.request(context.instance, jobs.refresh_lists.name, "items", str(ingested))


ALL = [ingest_new_files, collect_new_feedback, retrain_on_new_events, refresh_on_new_items]
