"""What the sensors know of new data and of past work, as the numbers that are weighed."""

from math import inf

import dagster as dg

from llmrec_assets.automation import history
from llmrec_assets.core.next_work import WORKS, News, Work

# Jobs whose success counts as that of a work, because they do all of it.
COVERS: dict[Work, tuple[str, ...]] = {
    "retrain": ("retrain", "retrain_with_encoder", "full_loop"),
    "retrain_with_encoder": ("retrain_with_encoder", "full_loop"),
}
States = dict[Work, tuple[str, str]]


def states(instance: dg.DagsterInstance) -> States:
    """Work → (tag, value) of the runs that would deal with what is new now."""
    events = history.latest_number(instance, "raw_events", "max_seq")
    items = history.latest_number(instance, "raw_items", "max_seq")
    trained = ("watermark", str(events))
    return {
        "refresh_lists": ("lists", f"{events}-{items}"),
        "warm_start": trained,
        "retrain": trained,
        "retrain_with_encoder": trained,
    }


def gather(instance: dg.DagsterInstance, states: States) -> News:
    """The numbers of now, from metadata of successful materialisations and from runs."""
    judged = history.latest(instance, "champion_model", "judged_through")
    through = None if judged is None else int(str(judged))
    number = history.latest_number
    tuned = number(instance, "item_encoder", "trained_through")
    answers, drifted = _drift(instance, judged)
    tried = {work: history.attempts(instance, work, *states[work]) for work in WORKS}
    return News(
        events=number(instance, "raw_events", "max_seq"),
        judged=through,
        answers=answers,
        drifted=drifted,
        model_serves=history.latest(instance, "champion_model", "kind") == "model",
        fresh_through=number(instance, "temporal_model", "fresh_through") or through or 0,
        encoder_through=tuned or None,
        listed=number(instance, "recommendations", "events_through"),
        items=number(instance, "raw_items", "max_seq"),
        items_listed=number(instance, "recommendations", "items_through"),
        since={work: seconds for work, seconds in _since(instance).items() if seconds < inf},
        failures={work: tried[work].failures for work in WORKS},
        retry_in={
            work: max(tried[work].wait, history.wait_after_failures(instance, work))
            for work in WORKS
        },
    )


def _since(instance: dg.DagsterInstance) -> dict[Work, float]:
    """Seconds since each work, or one that does all of it, last succeeded; infinite for never."""
    return {
        "refresh_lists": history.seconds_since(instance, "recommendations"),
        "warm_start": history.seconds_since(instance, "champion_model"),
        **{work: history.seconds_since_success(instance, *jobs) for work, jobs in COVERS.items()},
    }


def _drift(instance: dg.DagsterInstance, judged: object) -> tuple[int, tuple[str, ...]]:
    """(answers, measures that drifted) as last measured, where no challenger was judged since."""
    if history.latest(instance, "drift", "judged_through") != judged or judged is None:
        return 0, ()
    if history.latest(instance, "drift", "champion") != history.latest(
        instance, "champion_model", "served"
    ):
        return 0, ()
    drifted = str(history.latest(instance, "drift", "drifted") or "")
    return history.latest_number(instance, "drift", "answers"), tuple(drifted.split())
