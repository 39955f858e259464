import json
import time

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from llmrec_assets.core.behaviors import EXPOSURE, names
from llmrec_assets.datasets.choices import DRAWS, choose, examination
from llmrec_assets.datasets.shop import generate
from llmrec_assets.datasets.simulator import COLUMNS, simulate_responses, write_feedback

AT = pd.Timestamp("2026-01-02T08:00:00Z")


class ByItem:
    """A truth in which the item alone decides."""

    def __init__(self, **chances: float):
        self.chances = chances

    def affinity(self, users, items, time):
        return np.array([self.chances[item] for item in items])


LIKED = ByItem(**{f"i{n:02d}": 0.9 if n % 2 else 0.1 for n in range(20)})


def make_lists(n_lists: int = 300, length: int = 20) -> pd.DataFrame:
    rows = [
        (f"l{n:04d}", f"u{n:04d}", f"i{(rank + n) % length:02d}", rank + 1)
        for n in range(n_lists)
        for rank in range(length)
    ]
    return pd.DataFrame(rows, columns=["list_id", "user_id", "item_id", "rank"])


def test_every_item_shown_has_one_impression_and_answers_come_after_it():
    lists = make_lists(100)
    found = simulate_responses(lists, LIKED, 1, AT)
    assert list(found.columns) == COLUMNS
    assert (found["response"] == "impression").sum() == len(lists)
    assert found["feedback_id"].is_unique
    assert found["timestamp"].is_monotonic_increasing
    first = found.pivot(index=["list_id", "item_id"], columns="response", values="timestamp")
    assert set(first.columns) == {EXPOSURE, "click", "dwell", "cart", "buy", "rate", "like",
                                  "dislike", "not_interested"}  # fmt: skip
    assert set(first.columns) <= set(names())
    followed = [("click", "impression"), ("cart", "click"), ("buy", "cart"), ("rate", "buy")]
    for later, earlier in [*followed, ("dwell", "click"), ("like", "click"), ("dislike", "click")]:
        answered = first[first[later].notna()]
        assert (answered[earlier] < answered[later]).all()
    assert (first["dwell"].notna() == first["click"].notna()).all()
    for one, other in (("click", "not_interested"), ("like", "dislike")):
        assert not (first[one].notna() & first[other].notna()).any()
    assert (found["timestamp"] > "2026-01-02T08:00:00Z").all()


def test_higher_affinity_and_higher_places_get_more_clicks():
    found = simulate_responses(make_lists(), LIKED, 1, AT)
    clicks = found[found["response"] == "click"]
    odd = clicks["item_id"].str[1:].astype(int) % 2 == 1
    assert odd.sum() > 5 * (~odd).sum()
    assert (clicks["rank"] <= 5).sum() > 1.5 * (clicks["rank"] > 15).sum()
    looks = examination(np.arange(1, 21))
    assert looks[0] == 1.0
    assert (np.diff(looks) < 0).all()


def test_only_dwell_and_ratings_have_a_value_and_it_follows_affinity():
    found = simulate_responses(make_lists(600), LIKED, 1, AT)
    valued = found.dropna(subset="value")
    assert set(valued["response"]) == {"dwell", "rate"}
    assert valued["response"].isin(["dwell", "rate"]).sum() == len(valued)
    assert valued.loc[valued["response"] == "rate", "value"].isin(range(1, 6)).all()
    dwell = valued[valued["response"] == "dwell"]
    odd = dwell["item_id"].str[1:].astype(int) % 2 == 1
    assert dwell.loc[odd, "value"].mean() > 1.5 * dwell.loc[~odd, "value"].mean()
    assert 0.03 < (dwell["value"] < 5).mean() < 0.4


def test_the_shares_of_the_choices_are_those_that_are_stated():
    n = 20_000
    draws = np.random.default_rng(5).random((len(DRAWS), n))
    said = choose(np.full(n, 10), np.full(n, 0.5), draws)
    looks = examination(np.array([10]))[0]
    assert said.clicked.mean() == pytest.approx(0.5 * looks, abs=0.02)
    assert said.carted.sum() / said.clicked.sum() == pytest.approx(0.4, abs=0.04)
    assert said.bought.sum() / said.carted.sum() == pytest.approx(0.6, abs=0.05)
    assert np.nanmean(said.seconds) == pytest.approx(30 * 0.7, rel=0.1)
    nobody = choose(np.ones(n), np.zeros(n), draws)
    assert not nobody.clicked.any()
    assert nobody.refused.mean() == pytest.approx(0.02, abs=0.005)


def test_draws_know_neither_the_order_of_rows_nor_the_other_lists():
    lists = make_lists(50)
    found = simulate_responses(lists, LIKED, 1, AT)
    shuffled = lists.sample(frac=1.0, random_state=3)
    assert_frame_equal(found, simulate_responses(shuffled, LIKED, 1, AT))
    alone = simulate_responses(lists[lists["list_id"] == "l0007"], LIKED, 1, AT)
    part = found[found["list_id"] == "l0007"].reset_index(drop=True)
    assert_frame_equal(alone, part)
    assert not found.equals(simulate_responses(lists, LIKED, 2, AT))


def test_a_time_without_zone_is_utc_and_another_zone_is_converted():
    lists = make_lists(5)
    found = simulate_responses(lists, LIKED, 1, AT)
    assert_frame_equal(found, simulate_responses(lists, LIKED, 1, AT.tz_localize(None)))
    shanghai = AT.tz_convert("Asia/Shanghai").to_pydatetime()
    assert_frame_equal(found, simulate_responses(lists, LIKED, 1, shanghai))


def test_no_lists_give_no_responses():
    assert simulate_responses(make_lists(0), LIKED, 1, AT).empty


def test_the_same_feedback_is_the_same_file(tmp_path):
    found = simulate_responses(make_lists(5), LIKED, 1, AT)
    one, two = write_feedback(found, tmp_path), write_feedback(found, tmp_path)
    assert one == two
    assert [path.name for path in tmp_path.iterdir()] == [one.name]
    assert one.name.startswith("simulated-feedback-")
    rows = [json.loads(line) for line in one.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == len(found)
    assert set(rows[0]) == set(COLUMNS)


def test_the_shop_answers_fifteen_hundred_lists_quickly_and_by_taste():
    shop = generate(n_users=300)
    items, users = shop.items["item_id"].to_numpy(), shop.truth.user_ids
    every = shop.truth.affinity(np.repeat(users, len(items)), np.tile(items, len(users)), AT)
    best = np.argsort(-every.reshape(len(users), -1), axis=1)[:, :20]
    random = np.random.default_rng(0).integers(len(items) - 20, size=(1200, 1)) + np.arange(20)
    owners = np.concatenate([np.arange(300), np.arange(1200) % 300])
    lists = pd.DataFrame({
        "list_id": np.repeat([f"l{n:04d}" for n in range(1500)], 20),
        "user_id": np.repeat(users[owners], 20),
        "item_id": items[np.concatenate([best, random])].reshape(-1),
        "rank": np.tile(np.arange(1, 21), 1500),
    })  # fmt: skip
    started = time.perf_counter()
    found = simulate_responses(lists, shop.truth, 1, AT)
    assert time.perf_counter() - started < 5
    clicks = found[found["response"] == "click"]
    of_best = clicks["list_id"] < "l0300"
    assert of_best.sum() / 300 > 5 * (~of_best).sum() / 1200
