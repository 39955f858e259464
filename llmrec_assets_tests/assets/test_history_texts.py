"""Texts of whole histories through the whole graph: judged, served, switched off and on again."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from llmrec_assets.assets.s5_evaluation import no_target_leaks
from llmrec_assets.core import blocks
from llmrec_assets.core.lists import ListSettings, make_lists
from llmrec_assets.core.recommender import HISTORIES
from llmrec_assets.resources.wiring import resources_of
from llmrec_assets_tests.who_serves import let_serve, who_serves

KINDS = ["red shoes", "green tea", "desk lamp", "old book"]
ON = {
    "user_sequences": {"history_texts": True},
    "temporal_model": {"max_epochs": 1},
    "recommendations": {"exclude_seen": False},
}
OFF = ON | {"user_sequences": {"history_texts": False}}
Run = Callable[..., str]


def write(root):
    """Users who keep to one kind of item, and one who came only once."""
    rng = np.random.default_rng(0)
    rows = ["user_id,item_id,timestamp,behavior", "once,i2,2024-03-01,buy"]
    for user in range(40):
        for step in range(rng.integers(2, 9)):
            item = 4 * rng.integers(0, 6) + user % 4
            rows.append(f"u{user},i{item},2024-03-{1 + user % 9 + 2 * step:02d},buy")
    items = [f"i{n},{KINDS[n % 4]} number {n}" for n in range(24)]
    (root.landing_events / "events.csv").write_text("\n".join(rows))
    (root.landing_items / "items.csv").write_text("\n".join(["item_id,title", *items]))


@pytest.fixture
def run(root, run_job) -> Run:
    """Run the loop and let its model serve; the model's version."""
    write(root)

    def trained(config) -> str:
        assert run_job(config=config).success
        return let_serve(root)

    return trained


def lists_of(root, run_job, config) -> pd.DataFrame:
    steps = ("user_sequences", "recommendations")
    run_job("refresh_lists", config={step: config[step] for step in steps})
    return pd.read_parquet(root.recommendations)


def test_whole_histories_take_part_in_what_is_judged_and_served(root, run, run_job, monkeypatch):
    version = run(ON)
    used = {name: resources_of(root)[name] for name in ("warehouse", "arrays", "registry")}
    assert used["registry"].load(version).info.powers[HISTORIES] >= 0
    assert no_target_leaks(**used).passed
    protocols = used["warehouse"].read(
        "select distinct protocol from s5_model.model_evaluation where scorer = ?", [version]
    )
    assert set(protocols["protocol"]) == {"leave_one_out", "global_time"}

    found = who_serves(root)
    scorer, data = found.scorer, found.data
    everybody = np.arange(len(data.users))
    told = scorer.experts.prior[HISTORIES].logits(
        data.sequences, data.sequences.offsets[1:], everybody
    )
    assert (told[:, 1:].amax(1) > told[:, 1:].amin(1)).all()
    # Users keep to a kind, and so do the items that are most like their history.
    kinds = np.array([int(user[1:]) % 4 if user != "once" else 2 for user in data.users])
    likest = [int(data.items[code][1:]) % 4 for code in told[:, 1:].argmax(1).tolist()]
    assert (kinds == likest).mean() > 0.95

    lists = lists_of(root, run_job, ON)
    assert set(lists["model_version"]) == {version}
    mine = lists[lists["user_id"] == "once"].sort_values("rank")
    assert mine["item_id"].nunique() == len(mine) == 20
    assert int(mine["item_id"].iloc[0][1:]) % 4 == 2

    settings = ListSettings(10, True, 0.0, 0)

    def codes() -> list[int]:
        made = make_lists(scorer, data.sequences, data.users, settings)
        return [code for block in made for code in block.codes.tolist()]

    whole = codes()
    monkeypatch.setattr(blocks, "CELLS", 3 * len(data.items))
    assert codes() == whole


def test_a_model_that_read_histories_serves_without_them_and_the_other_way_round(
    root, run, run_job
):
    reader = run(ON)
    told = lists_of(root, run_job, ON)
    untold = lists_of(root, run_job, OFF)
    assert set(untold["model_version"]) == {reader}
    assert len(untold) == len(told)
    both = told.merge(untold, on=["user_id", "item_id"])
    assert not np.allclose(both["score_x"], both["score_y"])

    plain, registry = run(OFF), resources_of(root)["registry"]
    assert HISTORIES not in registry.load(plain).info.powers
    registry.promote(plain, "so few users say nothing of who is better")
    untold, told = (lists_of(root, run_job, config) for config in (OFF, ON))
    assert set(told["model_version"]) == {plain}
    both = told.merge(untold, on=["user_id", "item_id"])
    np.testing.assert_allclose(both["score_x"], both["score_y"], atol=1e-5)
