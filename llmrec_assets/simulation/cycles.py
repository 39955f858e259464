"""Cycles of one simulation: the published lists are measured and answered, and the loop works.

A cycle that was cut short is taken up where it was: its lists are kept beside its record until
users have answered them, and files that land twice are known by their content.
"""

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pandas as pd

from llmrec_assets.automation.history import latest, latest_number
from llmrec_assets.datasets import simulator
from llmrec_assets.datasets.bot_farm import Farm, poisoned_batch
from llmrec_assets.datasets.drifting_shop import PARAMETERS, DriftingShop
from llmrec_assets.datasets.landing import replace_text
from llmrec_assets.layout import Layout
from llmrec_assets.resources.landing import Landing
from llmrec_assets.resources.simulator import Plan, read_records, records_of
from llmrec_assets.simulation import arms
from llmrec_assets.simulation.settling import settle

POISONED_CYCLE = 1  # the batch is in what the lists of the next one are made of
SHOWN_AFTER = pd.Timedelta(hours=1)  # of a week
Report = Callable[[str], None]


def play(plan: Plan, store: Layout, instance: dg.DagsterInstance, report: Report) -> None:
    """Go on with a simulation until it has all its cycles.

    Raises:
        Exception: what made a run of the loop fail.
    """
    shop = DriftingShop(PARAMETERS[plan.parameters], plan.seed)
    landing, records = Landing(root=str(store.root)), read_records(store)
    if not records:
        _land(store, "items", "items.csv", shop.items)
        _land(store, "events", "log.csv", shop.log())
    else:
        _answer(shop, store, plan, records)
    while (cycle := len(records)) < plan.cycles:
        started = time.process_time()
        works = settle(instance, landing)
        record = measured(cycle, shop, store, instance, records)
        spent = round(time.process_time() - started, 1)
        shutil.copyfile(store.recommendations, lists_of(store))
        records.append(record | {"works": works, "cpu_seconds": spent, "answered": False})
        _keep(store, records)
        _answer(shop, store, plan, records)
        report(f"{plan.name} {told(records[-1])}")


def lists_of(store: Layout) -> Path:
    """The lists of the newest record."""
    return store.root / "cycle.parquet"


def _keep(store: Layout, records: list[dict[str, Any]]) -> None:
    replace_text(records_of(store), "".join(f"{json.dumps(row)}\n" for row in records))


def _answer(shop: DriftingShop, store: Layout, plan: Plan, records: list[dict[str, Any]]) -> None:
    """Let users answer the newest record's lists, unless they have."""
    newest = records[-1]
    if not newest.get("answered", True):
        respond(newest["cycle"], shop, store, plan, newest["exposure"])
        newest["answered"] = True
        _keep(store, records)


def measured(
    cycle: int,
    shop: DriftingShop,
    store: Layout,
    instance: dg.DagsterInstance,
    before: list[dict[str, Any]],
) -> dict[str, Any]:
    """What the published lists of a cycle, and those of all other arms, are worth."""
    decision: dict[str, Any] = {
        "kind": str(latest(instance, "champion_model", "kind")),
        "served": str(latest(instance, "champion_model", "served")),
        "through": latest_number(instance, "champion_model", "judged_through"),
    }
    first = arms.First(**(before[0] if before else {"first": decision})["first"])
    week, published = shop.week(cycle), pd.read_parquet(store.recommendations)
    top_k = int(published["rank"].max())
    lists = {"loop": published, **arms.lists_of_arms(store, shop, week, top_k, first)}
    return {
        "cycle": cycle,
        "turns": shop.parameters.turns,
        "utility": {name: round(arms.utility(own, shop, week), 5) for name, own in lists.items()},
        "outcome": str(latest(instance, "champion_model", "outcome")),
        "reason": str(latest(instance, "champion_model", "reason")),
        "drifted": str(latest(instance, "drift", "drifted") or ""),
        **decision,
        "first": vars(first),
        "exposure": arms.exposure(published, shop),
    }


def respond(
    cycle: int, shop: DriftingShop, store: Layout, plan: Plan, exposure: dict[str, float]
) -> None:
    """Let users answer the kept lists and visit without them; perhaps a farm joins in."""
    week = shop.week(cycle)
    lists = pd.read_parquet(lists_of(store))
    lists = lists[shop.places(lists["user_id"], [])[0] >= 0]
    at = shop.begins(week) + SHOWN_AFTER
    bias = shop.parameters.position_bias
    answers = simulator.simulate_responses(lists, shop, plan.seed, at, bias)
    simulator.write_feedback(answers, store.landing_feedback)
    _land(store, "events", f"week-{week:03d}.csv", shop.organic(week))
    if plan.poisoned and cycle == POISONED_CYCLE:
        batch = poisoned_batch(
            Farm(), shop.catalogue.ids, pushed_item(exposure), len(shop.user_ids),
            shop.begins(week), plan.seed,
        )  # fmt: skip
        _land(store, "events", "farm.csv", batch)


def pushed_item(exposure: dict[str, float]) -> str:
    """The item that a farm pushes: of those shown, the one nearest to an equal share."""
    equal = 1 / len(exposure)
    return min(sorted(exposure), key=lambda item: abs(exposure[item] - equal))


def told(record: dict[str, Any]) -> str:
    """A line about a cycle."""
    worth = ", ".join(f"{name} {value:.3f}" for name, value in record["utility"].items())
    how = "+".join(record["works"]) or "nothing"
    return (
        f"cycle {record['cycle']}: {worth}; {how}, {record['outcome']} {record['served']},"
        f" {record['cpu_seconds']:.0f} CPU-s"
    )


def _land(store: Layout, kind: str, name: str, frame: pd.DataFrame) -> None:
    replace_text(store.landing / kind / name, frame.to_csv(index=False, lineterminator="\n"))
