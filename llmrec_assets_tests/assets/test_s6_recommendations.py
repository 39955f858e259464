"""New events and items lead to new lists, by whoever serves and without a training."""

import dagster as dg
import pandas as pd
import pytest

from llmrec_assets.automation import history
from llmrec_assets.resources.encoder import TextEncoder
from llmrec_assets_tests.conftest import SIX_LINES
from llmrec_assets_tests.who_serves import let_serve

KINDS = ["red shoes", "blue shoes", "green tea", "black tea", "white tea", "brown shoes"]
ITEMS = "item_id,title\n" + "".join(f"i{n},{kind}\n" for n, kind in enumerate(KINDS))
EVENTS = "user_id,item_id,timestamp,behavior\n" + "".join(
    f"u{user},i{(user + step) % 6},{step},buy\n" for user in range(12) for step in range(6)
)
CONFIG = {
    "temporal_model": {"max_epochs": 1},
    "model_evaluation": {"global_time_split": False},
}


@pytest.fixture
def trained(root, run_job):
    """Run the loop on events, perhaps items, and let its model serve; the model's version."""

    def run(items=None):
        (root.landing_events / "events.csv").write_text(EVENTS)
        if items:
            (root.landing_items / "items.csv").write_text(items)
        run_job(config=CONFIG)
        return let_serve(root)

    return run


def add_items(root, run_job, text):
    (root.landing_items / "more.csv").write_text(text)
    run_job("ingest")


def refresh(root, run_job, **config):
    """The lists after a refresh, with items of the history, so that all items are in them."""
    run_job("refresh_lists", config={"recommendations": {"exclude_seen": False} | config})
    return pd.read_parquet(root.recommendations)


def test_a_new_item_is_ranked_by_an_older_model_through_its_text(root, run_job, trained):
    version = trained(ITEMS)
    add_items(root, run_job, "item_id,title\nnew,red shoes\nother,something else\n")
    lists = refresh(root, run_job)
    assert set(lists["model_version"]) == {version}
    assert set(lists["source"]) == {"model"}
    ranked = lists.pivot(index="user_id", columns="item_id", values="score")
    assert ranked.shape == (12, 8)
    assert ranked.notna().all(axis=None)
    assert (ranked["new"] != ranked["other"]).all()
    assert "new" in set(pd.read_parquet(root.published_items)["item_id"])
    assert history.latest_number(run_job.instance, "recommendations", "items_through") == 8
    assert history.latest_number(run_job.instance, "temporal_model", "items_through") == 6


def test_new_events_reach_the_lists_of_an_older_model(root, run_job, trained):
    version = trained(ITEMS)
    first = refresh(root, run_job)
    more = "user_id,item_id,timestamp,behavior\nu0,i3,6,buy\nnobody_yet,i2,6,buy\nu1,i_new,6,buy\n"
    (root.landing_events / "more.csv").write_text(more)
    run_job("ingest")
    result = run_job("refresh_lists", config={"recommendations": {"exclude_seen": False}})
    done = {event.asset_key.path[-1] for event in result.get_asset_materialization_events()}
    assert done == {
        "clean_events",
        "user_sequences",
        "text_features",
        "temporal_features",
        "fused_features",
        "recommendations",
    }
    lists = pd.read_parquet(root.recommendations)
    assert set(lists["model_version"]) == {version}
    assert set(lists["user_id"]) - set(first["user_id"]) == {"nobody_yet"}
    assert (lists.groupby("user_id")["item_id"].nunique() == 7).all()
    top = lists[lists["rank"] == 1].set_index("user_id")["item_id"]
    before = first[first["rank"] == 1].set_index("user_id")["item_id"]
    assert top["u0"] != before["u0"]
    assert history.latest_number(run_job.instance, "recommendations", "events_through") == 75
    assert history.latest_number(run_job.instance, "champion_model", "judged_through") == 72


def test_a_changed_title_draws_new_lists_and_the_same_again_does_not(root, run_job, trained):
    trained(ITEMS)
    first = refresh(root, run_job)
    add_items(root, run_job, "item_id,title\ni0,green tea\n")
    changed = refresh(root, run_job)
    assert not set(first["list_id"]) & set(changed["list_id"])
    again = refresh(root, run_job)
    assert set(again["list_id"]) == set(changed["list_id"])


def test_a_model_of_a_time_without_texts_still_ranks_when_items_get_some(root, run_job, trained):
    version = trained()
    add_items(root, run_job, ITEMS + "new,red shoes\n")
    lists = refresh(root, run_job)
    assert set(lists["model_version"]) == {version}
    assert (lists.groupby("user_id")["item_id"].nunique() == 7).all()


def test_a_model_is_not_asked_to_rank_by_texts_of_another_encoder(
    root, run_job, trained, monkeypatch
):
    trained(ITEMS)
    before = root.recommendations.read_bytes()
    add_items(root, run_job, "item_id,title\nnew,red shoes\n")
    monkeypatch.setattr(TextEncoder, "name", lambda self: "another-1")
    with pytest.raises(dg.Failure, match=r"texts encoded by bag.*; launch the job retrain"):
        refresh(root, run_job)
    assert root.recommendations.read_bytes() == before


def test_a_baseline_ranks_new_items_too(root, run_job):
    (root.landing_events / "events.csv").write_text(SIX_LINES)
    run_job()
    add_items(root, run_job, "item_id,title\nnew,a thing\n")
    lists = refresh(root, run_job)
    assert "new" in set(lists["item_id"])
