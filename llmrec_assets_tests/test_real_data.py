"""The whole graph on a slice of MovieLens."""

import numpy as np
import pandas as pd
import pytest

from llmrec_assets.assets import scoring_steps
from llmrec_assets.assets.model_inputs import read_inputs
from llmrec_assets.resources.registry import CHALLENGER
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.resources.wiring import resources_of
from llmrec_assets.sql.summary import summarise
from llmrec_assets_tests.conftest import land_movielens

USERS = 40


@pytest.fixture
def slice_of_movielens(real_data, root):
    return land_movielens(real_data, root, USERS)[0]


def test_the_whole_graph_on_a_slice_of_movielens(slice_of_movielens, root, run_job):
    result = run_job(config={"temporal_model": {"max_epochs": 4}})
    assert result.success
    checks = {c.check_name: c.passed for c in result.get_asset_check_evaluations()}
    warns = {"challenger_beats_the_baselines"}
    assert all(passed for name, passed in checks.items() if name not in warns), checks
    with Warehouse(path=str(root.warehouse)).connect() as connection:
        outcome = summarise(connection)
    assert outcome.counts["events"] == len(slice_of_movielens)
    assert outcome.counts["rejected"] == 0
    assert outcome.counts["users"] == USERS
    scores = outcome.scores.set_index("scorer")["ndcg_at_10"]
    assert scores["decayed_markov"] > scores["popularity"] > 0
    lists = pd.read_parquet(root.recommendations)
    assert lists["user_id"].nunique() == USERS
    seen = set(map(tuple, slice_of_movielens[["user_id", "item_id"]].to_numpy()))
    assert not seen & set(map(tuple, lists[["user_id", "item_id"]].to_numpy()))
    assert np.isfinite(lists[["score", "probability", "propensity"]].to_numpy()).all()


def test_the_same_inputs_give_the_same_lists_and_an_older_model_reads_newer_data(
    slice_of_movielens, root, run_job
):
    few = {"temporal_model": {"max_epochs": 2}, "model_evaluation": {"global_time_split": False}}
    run_job(config=few)
    first = pd.read_parquet(root.recommendations).drop(columns="generated_at")
    run_job(config=few)
    again = pd.read_parquet(root.recommendations).drop(columns="generated_at")
    pd.testing.assert_frame_equal(first, again)
    resources = resources_of(root)
    older = resources["registry"].load(resources["registry"].alias(CHALLENGER))
    newer = "user_id,item_id,timestamp,behavior\n0,a-brand-new-item,1700000000,teleport\n"
    (root.landing_events / "newer.csv").write_text(newer)
    run_job(config=few)
    lists = pd.read_parquet(root.recommendations)
    assert set(lists["list_id"]).isdisjoint(first["list_id"])
    inputs = read_inputs(resources["warehouse"], resources["arrays"], "z-score")
    data = inputs.final
    scorer = scoring_steps.scorer_of(older, "final", data, data.sequences.offsets[1:])
    users = np.arange(len(data.users))
    logits = scorer.logits(data.sequences, data.sequences.offsets[1:], users)
    assert len(data.items) == len(older.info.items) + 1
    assert logits[:, 1:].isfinite().all()
