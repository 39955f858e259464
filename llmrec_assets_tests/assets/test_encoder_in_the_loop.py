"""The encoder in the loop: it learns from answers, and serves only under a model that won."""

import json

import pandas as pd

from llmrec_assets.assets.model_inputs import read_inputs
from llmrec_assets.core.gate import Decision
from llmrec_assets.resources.wiring import resources_of
from llmrec_assets.sql import s5_model as model_sql
from llmrec_assets_tests.assets.test_item_encoder import CONFIG, newest, small, write

__all__ = ["small"]  # a fixture
HEAD = "+head-"  # in the name of an encoder with a tuned head
QUICK = {"temporal_model": {"max_epochs": 1}, "model_evaluation": {"global_time_split": False}}


def serve(root, version):
    """Let a version serve, as if it had won, or as if the newest challenger had lost to it."""
    resources = resources_of(root)
    resources["registry"].promote(version, "a test")
    with resources["warehouse"].connect() as connection:
        through = int(str(model_sql.newest_training(connection)["trained_through"]))
        decision = Decision(outcome="kept", served=version, kind="model", reason="a test")
        model_sql.record_decision(connection, version, through, decision)


def lists(root, run_job):
    run_job("refresh_lists")
    found = pd.read_parquet(root.recommendations)
    return found.drop(columns="generated_at").sort_values(["user_id", "rank"], ignore_index=True)


def test_what_users_answer_becomes_pairs_for_the_encoder(root, run_job):
    events = [f"u,i{step},{step},buy" for step in range(1, 4)]
    titles = [f"i{n},thing number {n}" for n in range(1, 10)]
    columns = "user_id,item_id,timestamp,behavior"
    (root.landing_events / "events.csv").write_text("\n".join([columns, *events]))
    (root.landing_items / "items.csv").write_text("\n".join(["item_id,title", *titles]))
    run_job(config=QUICK)
    before = newest(root)
    assert (before["pairs"], before["trained_through"]) == (0, 3)
    answers = [
        {"feedback_id": f"f{n}", "user_id": "u", "item_id": f"i{n}", "timestamp": n}
        | {"response": "click"}
        for n in range(4, 9)
    ]
    (root.landing_feedback / "f.jsonl").write_text("\n".join(map(json.dumps, answers)))
    for job in ("collect_feedback", "ingest"):
        run_job(job)
    run_job("retrain_with_encoder", config=QUICK)
    after = newest(root)
    assert after["trained_through"] == 8
    # Of eight events the last three are held out of tuning: pairs are of the first five.
    assert after["pairs"] > 0


def test_a_champion_ranks_by_its_own_encoder_after_a_challenger_with_a_new_one_lost(
    root, run_job, small
):
    write(root)
    untuned = {"item_encoder": {"tuning": "off"}, **QUICK}
    run_job(config=untuned)
    warehouse, arrays = (resources_of(root)[name] for name in ("warehouse", "arrays"))
    with warehouse.connect() as connection:
        champion = str(model_sql.newest_training(connection)["model_version"])
    serve(root, champion)
    before = lists(root, run_job)

    run_job("retrain_with_encoder", config=QUICK | {"item_encoder": CONFIG["item_encoder"]})
    assert HEAD in newest(root)["encoder"]
    assert HEAD in read_inputs(warehouse, arrays, "z-score", ("final",)).encoder
    with warehouse.connect() as connection:
        challenger = str(model_sql.newest_training(connection)["model_version"])
    registry = resources_of(root)["registry"]
    assert registry.load(challenger).info.encoder == newest(root)["encoder"]
    serve(root, champion)
    after = lists(root, run_job)
    assert set(after["model_version"]) == {champion}
    pd.testing.assert_frame_equal(before, after)

    serve(root, challenger)
    assert set(lists(root, run_job)["model_version"]) == {challenger}
