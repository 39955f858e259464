"""A small simulated loop, as a process of its own, cut short and taken up again."""

import json
import os
import subprocess
import sys

import pandas as pd
import pytest

from llmrec_assets.assets.loop_study import table_of
from llmrec_assets.resources.simulator import (
    Plan,
    SimulationFailed,
    Simulator,
    read_records,
    records_of,
)
from llmrec_assets.resources.wiring import resources_of
from llmrec_assets.simulation.cycles import pushed_item
from llmrec_assets.sql.loop_study import LOOP_UTILITY

ARMS = {"loop", "frozen", "refreshed", "popularity", "recent_popularity", "oracle"}


def test_a_loop_goes_on_where_it_ended_and_counts_everything_once(root):
    simulator = Simulator(root=str(root.root))
    two = simulator.play(Plan("quick", 1, 2), print)
    store = Plan("quick", 1).store(root)
    three = simulator.play(Plan("quick", 1, 3), print)
    assert three[:2] == two
    assert [record["cycle"] for record in three] == [0, 1, 2]
    for record in three:
        assert set(record["utility"]) == ARMS
        assert record["utility"]["oracle"] == max(record["utility"].values()) > 0
        assert sum(record["exposure"].values()) == pytest.approx(1, abs=1e-3)
    assert three[0]["utility"]["frozen"] == three[0]["utility"]["refreshed"]
    assert three[0]["works"][0] == "ingest"
    assert {"collect_feedback", "ingest"} <= set(three[1]["works"])
    warehouse = resources_of(store)["warehouse"]
    events = warehouse.read(
        "select count(*) n, count(distinct event_id) d, count(caused_by) c"
        " from s1_raw_events.raw_events"
    )
    assert events["n"][0] == events["d"][0]
    assert events["c"][0] > 0
    assert simulator.play(Plan("quick", 1, 3), print) == three  # nothing is played again


def test_a_loop_that_cannot_go_on_says_where_its_log_is(root):
    plan = Plan("unheard_of", 0, 2)
    with pytest.raises(SimulationFailed, match=r"simulation\.log"):
        Simulator(root=str(root.root)).play(plan, print)
    assert "unheard_of" in (plan.store(root).root / "simulation.log").read_text()


def written(root, plan, utilities):
    """Records as a simulation leaves them."""
    rows = [
        {"cycle": cycle, "turns": 1, "utility": own, "works": ["ingest", "retrain"],
         "outcome": "promoted", "served": "gru-1", "cpu_seconds": 3.0}
        for cycle, own in enumerate(utilities)
    ]  # fmt: skip
    store = plan.store(root)
    store.root.mkdir(parents=True)
    records_of(store).write_text("\n".join(map(json.dumps, rows)))
    assert read_records(store) == rows
    return rows


def test_the_study_tells_what_the_loops_show(root, run_job):
    utilities = [
        dict.fromkeys(ARMS, 1.0),
        dict.fromkeys(ARMS, 0.5),
        dict.fromkeys(ARMS, 0.5) | {"loop": 0.9},
    ]
    plans = [Plan("tuning", seed, 3) for seed in range(2)]
    rows = [table_of(plan, written(root, plan, utilities)) for plan in plans]
    chosen = {"parameters": ["tuning"], "seeds": 2, "cycles": 3}
    result = run_job("simulate_cycles", config={"loop_utility": chosen})
    shown = result.asset_materializations_for_node("loop_utility")[0].metadata
    assert "80% ± 0%" in shown["claims"].value
    assert shown["shown"].value + shown["not_shown"].value == 4
    assert "data:image/png" in shown["plot"].value
    stored = resources_of(root)["warehouse"].read(f"from {LOOP_UTILITY.full_name}")
    assert len(stored) == len(pd.concat(rows)) == 2 * 3 * len(ARMS)
    assert set(stored["works"]) == {"ingest retrain"}


def test_a_farm_pushes_an_item_that_is_shown_as_often_as_others():
    assert pushed_item({"a": 0.7, "b": 0.31, "c": 0.01}) == "b"


def test_the_command_names_what_it_does_not_know(root):
    done = subprocess.run(
        [sys.executable, "-m", "llmrec_assets.simulation", "quick", "one"],
        env=os.environ | {"LLMREC_DATA_DIR": str(root.root)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
    assert "seed" in done.stderr
