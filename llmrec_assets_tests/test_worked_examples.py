"""The smallest inputs a newcomer tries, through the whole graph."""

import json

import pandas as pd
import pytest

from llmrec_assets.resources.registry import CHALLENGER
from llmrec_assets.resources.wiring import resources_of
from llmrec_assets_tests.conftest import SIX_LINES

SHOW_SEEN = {"recommendations": {"exclude_seen": False}}


def write(folder, text, name="events.csv"):
    (folder / name).write_text(text, encoding="utf-8")


def test_six_lines_and_no_items_end_with_lists(root, run_job):
    write(root.landing_events, SIX_LINES)
    result = run_job()
    assert result.success
    lists = pd.read_parquet(root.recommendations)
    assert list(lists.columns) == [
        "list_id",
        "user_id",
        "rank",
        "item_id",
        "score",
        "probability",
        "propensity",
        "source",
        "model_version",
        "generated_at",
    ]
    assert set(lists["user_id"]) == {"1", "2"}
    assert lists.groupby("user_id")["rank"].min().eq(1).all()
    assert set(lists.loc[lists["user_id"] == "1", "item_id"]) == {"1004"}
    times = result.asset_materializations_for_node("raw_events")[0].metadata["time_kinds"].value
    assert "relative" in times


def test_day_zero_is_a_time_and_a_global_split_is_refused(root, run_job):
    write(root.landing_events, SIX_LINES.replace(",1,browse", ",0,browse"))
    result = run_job()
    notes = result.asset_materializations_for_node("model_evaluation")[0].metadata["notes"].value
    assert any("no global time split" in str(note) for note in notes)
    features = pd.DataFrame(run_job_read(root, "select hour, weekday, gap from temporal"))
    assert features["hour"].isna().all()
    assert features["weekday"].isna().all()
    assert features["gap"].max() == 4


def run_job_read(root, query):
    import duckdb

    with duckdb.connect(str(root.warehouse), read_only=True) as connection:
        return connection.execute(
            query.replace("from temporal", "from s4_features.temporal_features")
        ).df()


@pytest.mark.parametrize(
    ("items", "wanted"),
    [
        ("手机 平板 电脑 耳机 书籍", "电脑"),
        ("商品A 商品B 商品C 商品A 商品D", "商品A"),
    ],
)
def test_a_user_gets_a_probability_for_every_item_of_the_catalogue(root, run_job, items, wanted):
    rows = [
        f"{user},{item},{day},browse" for user in "12" for day, item in enumerate(items.split())
    ]
    write(root.landing_events, "\n".join(["user_id,item_id,timestamp,behavior", *rows]))
    run_job(config=SHOW_SEEN)
    lists = pd.read_parquet(root.recommendations)
    mine = lists[lists["user_id"] == "1"]
    assert set(mine["item_id"]) == set(items.split())
    assert wanted in set(mine["item_id"])
    assert mine["probability"].sum() == pytest.approx(1.0, abs=1e-4)
    assert (mine["probability"] > 0).all()


def test_histories_read_as_text_in_the_users_language(root, run_job):
    write(
        root.landing_events,
        "user_id,item_id,timestamp,behavior\n1,a,1,buy\n1,b,2,browse\n1,c,3,buy\n",
    )
    write(root.landing_items, "item_id,title\na,A\nb,B\nc,C\n", "items.csv")
    run_job()
    texts = run_job_read(root, "select history_text from s2_sequences.user_sequences")
    assert texts["history_text"][0] == "[buy A, browse B, buy C]"
    run_job(config={"user_sequences": {"language": "zh"}})
    texts = run_job_read(root, "select history_text from s2_sequences.user_sequences")
    assert texts["history_text"][0] == "[购买A，浏览B，购买C]"


@pytest.mark.parametrize(
    "behaviors", [("read", "read"), ("like", "comment", "share"), ("play", "play")]
)
def test_other_domains_are_only_other_behaviours(root, run_job, behaviors):
    rows = [
        {"user_id": f"u{u}", "item_id": f"n{(u + t) % 7}", "timestamp": f"2024-03-0{t + 1}",
         "behavior": behaviors[t % len(behaviors)], "value": 30 + t}
        for u in range(6)
        for t in range(5)
    ]  # fmt: skip
    write(root.landing_events, "\n".join(map(json.dumps, rows)), "log.jsonl")
    assert run_job().success
    assert pd.read_parquet(root.recommendations)["user_id"].nunique() == 6


def test_a_user_who_saw_everything_still_gets_a_list(root, run_job):
    write(root.landing_events, "user_id,item_id,timestamp,behavior\n007,x,1,buy\n007,y,2,buy\n")
    run_job()
    lists = pd.read_parquet(root.recommendations)
    assert list(lists["user_id"].unique()) == ["007"]
    assert set(lists["source"]) == {"fallback"}


def test_an_unknown_behaviour_is_kept_and_named(root, run_job):
    write(root.landing_events, SIX_LINES.replace("buy", "teleport"))
    result = run_job()
    metadata = result.asset_materializations_for_node("clean_events")[0].metadata
    assert "teleport" in metadata["unknown_behaviors"].value
    assert metadata["dagster/row_count"].value == 6


def test_texts_may_come_and_go_under_a_champion(root, run_job):
    items = [f"i{n}" for n in range(8)]
    rows = [
        f"{user},{items[(user + step) % 8]},{step},buy" for user in range(30) for step in range(6)
    ]
    write(root.landing_events, "\n".join(["user_id,item_id,timestamp,behavior", *rows]))
    run_job()
    registry = resources_of(root)["registry"]
    registry.promote(registry.alias(CHALLENGER), "whatever its score")
    titles = "\n".join(["item_id,title", *(f"{item},title of {item}" for item in items)])
    write(root.landing_items, titles, "items.csv")
    result = run_job()
    notes = result.asset_materializations_for_node("model_evaluation")[0].metadata["notes"].value
    assert any("trained without texts" in str(note) for note in notes)
    assert pd.read_parquet(root.recommendations)["user_id"].nunique() == 30


def test_a_sigmoid_per_item_is_also_judged_by_thresholds(root, run_job):
    rows = [f"{user},i{(user + t) % 9},{t},buy" for user in range(30) for t in range(6)]
    write(root.landing_events, "\n".join(["user_id,item_id,timestamp,behavior", *rows]))
    run_job(
        config={
            "temporal_model": {"objective": "sigmoid", "max_epochs": 8},
            "model_evaluation": {"thresholds": [0.5, 0.001]},
        }
    )
    scores = run_job_read(
        root, "select metric, score from s5_model.model_evaluation where metric like '%above%'"
    ).set_index("metric")["score"]
    assert 0 <= scores["items_above_0.5"] < scores["items_above_0.001"] <= 9
    assert scores["recall_above_0.5"] <= scores["recall_above_0.001"]
