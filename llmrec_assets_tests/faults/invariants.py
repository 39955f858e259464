"""What must hold once a service has recovered, whatever happened to it."""

from collections import Counter

import dagster as dg
import pandas as pd

from llmrec_assets.automation.history import latest_number
from llmrec_assets.resources.registry import CHAMPION
from llmrec_assets.resources.warehouse import Warehouse, WarehouseBusy
from llmrec_assets.resources.wiring import resources_of
from llmrec_assets_tests.faults.service import Service
from llmrec_assets_tests.faults.traffic import Traffic

EVENTS = "select event_id from s1_raw_events.raw_events"
FEEDBACK = "select feedback_id from s7_feedback.feedback"
DECISION = "select * from s5_model.champion_model order by decided_at desc limit 1"


def settled(service: Service, traffic: Traffic) -> bool:
    """Whether everything dropped is in, was learnt from and is known to the published lists."""
    if service.working():
        return False
    instance = service.instance
    newest = latest_number(instance, "raw_events", "max_seq")
    if latest_number(instance, "champion_model", "judged_through") < newest:
        return False
    judged = instance.get_latest_materialization_event(dg.AssetKey("champion_model"))
    listed = instance.get_latest_materialization_event(dg.AssetKey("recommendations"))
    if judged is None or listed is None or listed.timestamp < judged.timestamp:
        return False
    try:
        return missing(service, traffic) == []
    except WarehouseBusy:
        return False


def missing(service: Service, traffic: Traffic) -> list[str]:
    """Ids of dropped events and feedback, and of clicks as events, that are not in yet."""
    warehouse = Warehouse(path=str(service.layout.warehouse))
    events = set(warehouse.read(EVENTS)["event_id"])
    lacking = (traffic.events | traffic.clicks) - events
    if traffic.feedback:
        lacking |= traffic.feedback - set(warehouse.read(FEEDBACK)["feedback_id"])
    return sorted(lacking)


def broken(service: Service, traffic: Traffic) -> list[str]:
    """What does not hold, in words; empty when all is well."""
    warehouse, layout = Warehouse(path=str(service.layout.warehouse)), service.layout
    wrong = [f"{name} is lost" for name in missing(service, traffic)]
    counts = Counter(warehouse.read(EVENTS)["event_id"])
    wrong += [f"event {name} is there {n} times" for name, n in counts.items() if n > 1]
    wrong += [
        f"event {name} was never dropped"
        for name in sorted(counts.keys() - traffic.events - traffic.clicks)
    ]
    if traffic.feedback:
        answers = Counter(warehouse.read(FEEDBACK)["feedback_id"])
        wrong += [f"feedback {name} is there {n} times" for name, n in answers.items() if n > 1]
    return wrong + _of_the_champion(warehouse, layout)


def _of_the_champion(warehouse: Warehouse, layout) -> list[str]:
    """One champion serves: the alias, the decision and the published lists name the same."""
    registry = resources_of(layout)["registry"]
    champion = registry.alias(CHAMPION)
    decision = warehouse.read(DECISION).iloc[0]
    wrong = []
    if decision["kind"] == "model" and champion != decision["served"]:
        wrong.append(f"{decision['served']} was decided to serve, {champion} has the alias")
    if decision["kind"] == "baseline" and champion is not None:
        wrong.append(f"a baseline was decided to serve, {champion} has the alias")
    published = pd.read_parquet(layout.recommendations)
    versions = set(published["model_version"])
    if len(versions) != 1:
        wrong.append(f"the published lists are of {sorted(versions)}")
    served = versions.pop() if versions else ""
    if decision["kind"] == "model" and not (served == champion and registry.has(served)):
        wrong.append(f"the published lists are of {served}, the champion is {champion}")
    ranks = published.groupby("list_id")["rank"].agg(["count", "max"])
    if (ranks["count"] != ranks["max"]).any():
        wrong.append("a published list has gaps")
    return wrong
