"""What the loop measures of itself, on responses whose measures are known."""

import base64
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from llmrec_assets.assets import s7_feedback
from llmrec_assets.sql.s4_tables import ITEMS
from llmrec_assets_tests.assets.test_s7_attribution import HOUR, NOON, Loop

DAY = timedelta(days=1)


@pytest.fixture
def loop(root):
    """Lists of ten items each in a catalogue of twenty."""
    made = Loop(root)
    catalogue = pd.DataFrame({"item_code": range(1, 21), "item_id": [f"i{n}" for n in range(20)]})
    with made.resources["warehouse"].connect() as connection:
        connection.register("catalogue", catalogue)
        connection.execute(f"insert into {ITEMS.full_name} by name from catalogue")
    made.ingest()
    return made


def answer(list_id, user, rank, item, response, at):
    return {
        "feedback_id": f"{list_id}-{rank}-{response}",
        "list_id": list_id,
        "user_id": user,
        "rank": rank,
        "item_id": item,
        "response": response,
        "timestamp": at,
    }


def show_and_answer(loop, list_id, user, items, said, at, version="m1"):
    """A list, an impression of every slot, and further responses by rank."""
    loop.show(list_id, at, items=items, user=user, version=version)
    rows = [answer(list_id, user, n, item, "impression", at) for n, item in enumerate(items, 1)]
    rows += [
        answer(list_id, user, rank, items[rank - 1], response, at + HOUR)
        for rank, responses in said.items()
        for response in responses
    ]
    loop.put("feedback", *rows)


def test_a_day_of_a_model_is_measured_by_what_its_users_did(loop):
    items = [f"i{n}" for n in range(10)]
    show_and_answer(loop, "l1", "u1", items, {1: ["click", "buy"], 3: ["click"]}, NOON)
    show_and_answer(loop, "l2", "u2", items, {2: ["click"], 9: ["not_interested"]}, NOON)
    show_and_answer(loop, "l3", "u3", items, {}, NOON + DAY, version="m2")
    late = NOON + timedelta(hours=11, minutes=30)  # the click comes after midnight
    show_and_answer(loop, "l4", "u4", items[:1], {1: ["click"]}, late)
    found = loop.collect()
    daily = loop.read("from s7_feedback.daily_measures order by day, model_version")
    assert daily["model_version"].tolist() == ["m1", "m2"]
    assert daily[["users", "impressions", "clicks", "conversions"]].values.tolist() == [
        [3, 21, 4, 1],
        [1, 10, 0, 0],
    ]
    first, second = (daily.iloc[n] for n in range(2))
    assert first["click_through"] == pytest.approx(4 / 21)
    assert first["click_through_lower"] < 4 / 21 < first["click_through_upper"]
    assert first["conversion"] == pytest.approx(1 / 4)
    assert (second["click_through"], second["answered_lists"]) == (0, 0)
    assert np.isnan(second["ndcg"])
    discount = 1 / np.log2(np.arange(2, 12))
    ordered = [
        (discount[0] + discount[2]) / (discount[0] + discount[1]),
        discount[1] / discount[0],
        1.0,
    ]
    assert first["answered_lists"] == 3
    assert first["ndcg"] == pytest.approx(np.mean(ordered))
    assert first["ndcg_lower"] == pytest.approx(
        np.mean(ordered) - 1.959964 * np.std(ordered, ddof=1) / 3**0.5
    )
    assert first["coverage"] == pytest.approx(0.5)
    assert first["top_share"] == pytest.approx(3 / 21)  # the most shown of twenty
    exposures = np.sort([3] + [2] * 9 + [0] * 10)
    expected = 2 * (np.arange(1, 21) * exposures).sum() / (20 * 21) - 21 / 20
    assert first["gini"] == pytest.approx(expected)
    for plot in ("attribution_plot", "daily_plot"):
        image = found[plot].split("base64,")[1].rstrip(")")
        assert base64.b64decode(image).startswith(b"\x89PNG")


def test_without_impressions_or_absolute_times_there_are_no_days_and_still_plots(loop):
    loop.show("l1", NOON, items=["i1"])
    loop.respond({"feedback_id": "f1", "item_id": "i1", "list_id": "l1"})
    assert "attribution_plot" in loop.collect()
    loop.respond({"feedback_id": "f2", "item_id": "i1", "timestamp": 4, "response": "impression"})
    assert "attribution_plot" in loop.collect()
    assert loop.read("from s7_feedback.daily_measures").empty


@pytest.mark.parametrize("narrower", [True, False])
def test_a_popularity_spiral_is_warned_about(loop, narrower):
    for day in range(7):
        wide = 10 - day if narrower else 10
        for user in range(4):
            items = [f"i{n}" for n in range(wide)]
            name = f"l{day}-{user}"
            show_and_answer(loop, name, f"u{user}", items, {}, NOON + day * DAY)
    loop.collect()
    check = s7_feedback.popularity_does_not_feed_itself(loop.resources["warehouse"])
    assert check.passed is not narrower
    assert check.metadata["rising"].value == ("gini, top_share" if narrower else "nothing")


def test_what_one_user_teaches_is_limited_and_reported(loop):
    items = [f"i{n}" for n in range(20)]
    for n in range(6):
        said = {rank: ["click"] for rank in range(1, 21)}
        show_and_answer(loop, f"l{n}", "eager", items, said, NOON + n * HOUR / 6)
    show_and_answer(loop, "l9", "usual", items, {1: ["click"], 2: ["dislike"]}, NOON)
    found = loop.collect(most_responses_per_day=30)
    assert found["responses_over_the_limit"] == 90
    loop.ingest()
    counts = loop.read("select user_id, count(*) as n from s1_raw_events.raw_events group by 1")
    assert dict(zip(counts["user_id"], counts["n"], strict=True)) == {"eager": 30, "usual": 2}
    assert loop.collect(most_responses_per_day=30)["returned_events"] == 0
    check = s7_feedback.no_user_gives_most_of_a_day(loop.resources["warehouse"])
    assert not check.passed
    assert check.metadata["largest_share"].value == pytest.approx(120 / 122)
