"""The evaluation through the whole graph: what is stored and what is shown."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from mlflow import MlflowClient

from llmrec_assets.assets import evaluation_steps, training_steps
from llmrec_assets.assets.s5_evaluation import no_target_leaks
from llmrec_assets.resources.wiring import resources_of
from llmrec_assets.sql.s5_model import MODEL_EVALUATION_INTERVALS, MODEL_EVALUATION_SLICES
from llmrec_assets.sql.summary import summarise

START = datetime(2024, 3, 1, tzinfo=UTC)


def write(root):
    """25 users go round 12 items, some within a day."""
    events = ["user_id,item_id,timestamp,behavior"]
    for user in range(25):
        for step in range(3 + user % 6):
            at = START + timedelta(hours=user + (1 + user % 2 * 30) * step)
            item, behavior = (5 * user + step) % 12, "buy" if step % 2 else "browse"
            events.append(f"u{user},i{item},{at.isoformat()},{behavior}")
    items = [f"i{item},thing {item % 4} of kind {item % 3}" for item in range(12)]
    (root.landing_events / "events.csv").write_text("\n".join(events))
    (root.landing_items / "items.csv").write_text("\n".join(["item_id,title", *items]))


@pytest.fixture
def evaluated(root, run_job):
    write(root)
    result = run_job(config={"temporal_model": {"max_epochs": 2}})
    shown = result.asset_materializations_for_node("model_evaluation")[0].metadata
    return resources_of(root)["warehouse"], shown


def test_an_evaluation_tells_slices_and_intervals_under_both_protocols(evaluated):
    warehouse, shown = evaluated
    rows = warehouse.read("select * from s5_model.model_evaluation")
    slices = warehouse.read(f"select * from {MODEL_EVALUATION_SLICES.full_name}")
    intervals = warehouse.read(f"select * from {MODEL_EVALUATION_INTERVALS.full_name}")
    protocols = {"leave_one_out", "global_time"}
    assert set(rows["protocol"]) == set(slices["protocol"]) == set(intervals["protocol"])
    assert set(rows["protocol"]) == protocols
    assert {"novelty_at_10", "diversity_at_10", "popularity_lift_at_10"} <= set(rows["metric"])
    assert set(slices["scorer"]) == set(rows["scorer"])
    compared = rows.loc[rows["role"] != "challenger", ["protocol", "scorer"]].drop_duplicates()
    assert len(intervals) == 2 * len(compared)
    assert (intervals["lower"] <= intervals["difference"]).all()
    assert (intervals["difference"] <= intervals["upper"]).all()
    assert set(slices.loc[slices["dimension"] == "same_day", "slice"]) <= {"yes", "no"}
    assert set(slices.loc[slices["dimension"] == "target_behavior", "slice"]) == {"browse", "buy"}
    for name in ("scores", "challenger_less_others", "masked_ndcg_at_10_by_slice", "plot"):
        assert shown[name].value
    assert "| leave_one_out" in shown["diversity_curve"].value
    assert shown["diversity_plot"].value.startswith("![plot]")
    assert 0 <= shown["diversity_for_1_percent_of_ndcg"].value <= 1


def write_repeats(root):
    """30 users come back to three items of their own, in an order that tells nothing."""
    rng = np.random.default_rng(5)
    events = ["user_id,item_id,timestamp,behavior"]
    for user in range(30):
        own = rng.choice(40, 3, replace=False)
        for step, item in enumerate(rng.choice(own, 12)):
            at = START + timedelta(days=step, hours=user)
            events.append(f"u{user},i{item},{at.isoformat()},buy")
    (root.landing_events / "events.csv").write_text("\n".join(events))


def test_where_lists_show_what_was_seen_the_gate_counts_repeats(root, run_job):
    write_repeats(root)
    compared = {"hide_seen": False, "baselines": ["popularity", "own_history"]}
    shows = {"recommendations": {"exclude_seen": False}, "model_evaluation": compared}
    run = run_job(config={"temporal_model": {"max_epochs": 1, "hide_seen": False}, **shows})
    warehouse = resources_of(root)["warehouse"]
    rows = warehouse.read("select * from s5_model.model_evaluation")
    assert not rows["hides_seen"].any()
    assert {"masked_ndcg_at_10", "ndcg_at_10"} <= set(rows["metric"])
    intervals = warehouse.read(f"select * from {MODEL_EVALUATION_INTERVALS.full_name}")
    assert set(intervals["metric"]) == {"ndcg_at_10", "recall_at_10"}
    assert set(intervals["protocol"]) == {"leave_one_out", "global_time"}
    judged = rows[(rows["protocol"] == "leave_one_out") & (rows["metric"] == "ndcg_at_10")]
    scores = judged.set_index("scorer")["score"]
    assert scores["own_history"] > 0.6 > 0.3 > scores["popularity"]
    evidence = warehouse.read("select * from s5_model.gate_evidence").iloc[0]
    assert evidence["threshold"] == scores["own_history"]
    assert evidence["value"] == judged.set_index("role")["score"]["challenger"]
    with warehouse.connect() as connection:
        told = summarise(connection)
    assert told.scores.set_index("scorer")["ndcg_at_10"].to_dict() == scores.to_dict()
    shown = run.asset_materializations_for_node("model_evaluation")[0].metadata
    assert "own_history" in shown["ndcg_at_10_by_slice"].value


@pytest.mark.parametrize(("exclude", "compared"), [("true", False), ("false", True)])
def test_own_history_is_compared_where_lists_show_what_was_seen(exclude, compared):
    code = "from llmrec_assets.assets.s5_evaluation import EvaluationConfig as E; print(E())"
    environment = os.environ | {"LLMREC_EXCLUDE_SEEN": exclude}
    told = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert f"hide_seen={not compared}" in told
    assert ("own_history" in told) == compared


def test_relative_times_have_no_days(root, run_job):
    rows = [f"u{user},i{(user + step) % 5},{step},buy" for user in range(9) for step in range(4)]
    text = "\n".join(["user_id,item_id,timestamp,behavior", *rows])
    (root.landing_events / "events.csv").write_text(text)
    run_job(config={"temporal_model": {"max_epochs": 1}})
    warehouse = resources_of(root)["warehouse"]
    slices = warehouse.read(f"select distinct dimension from {MODEL_EVALUATION_SLICES.full_name}")
    assert set(slices["dimension"]) == {"history_length", "target_popularity", "target_behavior"}
    metrics = warehouse.read("select distinct metric from s5_model.model_evaluation")
    assert "diversity_at_10" not in set(metrics["metric"])


def test_a_planted_leak_blocks(root, run_job, monkeypatch):
    write(root)
    events = (root.landing_events / "events.csv").read_text().splitlines()
    rated = [f"{row},{number % 5}" for number, row in enumerate(events[1:])]
    (root.landing_events / "events.csv").write_text("\n".join([events[0] + ",rating", *rated]))
    run_job(config={"temporal_model": {"max_epochs": 1}})
    used = {name: resources_of(root)[name] for name in ("warehouse", "arrays", "registry")}
    assert no_target_leaks(**used).passed

    honest = evaluation_steps.leave_one_out

    def greedy(sequences):
        split = honest(sequences)
        return replace(split, train_end=split.train_end + 1)

    with monkeypatch.context() as patch:
        patch.setattr(evaluation_steps, "leave_one_out", greedy)
        assert evaluation_steps.audit_leaks(**used)["last_two_events_in_training"] > 0
        assert not no_target_leaks(**used).passed
    for leak, planted in (
        (
            "statistics_beyond_training",
            "update s2_sequences.value_statistics set n = n + 1 where fit = 'evaluation'",
        ),
        ("held_out_events_called_train", "update s4_features.fused_features set split = 'train'"),
    ):
        assert evaluation_steps.audit_leaks(**used)[leak] == 0
        with used["warehouse"].connect() as connection:
            connection.execute(planted)
        assert evaluation_steps.audit_leaks(**used)[leak] > 0
        assert not no_target_leaks(**used).passed


def test_a_training_says_in_mlflow_what_it_came_from(root, run_job):
    write(root)
    result = run_job(config={"temporal_model": {"max_epochs": 1}})
    shown = result.asset_materializations_for_node("temporal_model")[0].metadata
    registry = resources_of(root)["registry"]
    client = MlflowClient(tracking_uri=f"sqlite:///{Path(registry.database).resolve()}")
    logged = client.get_run(str(shown["mlflow_run"].value)).data.params
    assert json.loads(logged["environment"])["torch"] == torch.__version__
    training = resources_of(root)["warehouse"].read("select * from s5_model.temporal_model").iloc[0]
    assert logged["data_fingerprint"] == training["data_fingerprint"]
    assert logged["code_version"] == training_steps.code_version()
    assert logged["seed"] == "0"
