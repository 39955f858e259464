"""The drifting shop: everything follows from parameters and seed, and the change is one."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from llmrec_assets.datasets.bot_farm import Farm, poisoned_batch
from llmrec_assets.datasets.drifting_shop import PARAMETERS, START, DriftingShop
from llmrec_assets.resources.simulator import PARAMETER_NAMES

SMALL = replace(PARAMETERS["tuning"], users=80, items=100)


def best_by(liking: np.ndarray, k: int = 10) -> np.ndarray:
    return np.argsort(-liking, axis=1)[:, :k]


def test_nothing_depends_on_what_is_asked_first():
    one, other = DriftingShop(SMALL, 3), DriftingShop(SMALL, 3)
    later = one.organic(one.week(5))
    assert_frame_equal(other.log(), one.log())
    assert_frame_equal(other.organic(other.week(5)), later)
    assert not DriftingShop(SMALL, 4).log().equals(one.log())


@pytest.mark.parametrize("name", PARAMETER_NAMES)
def test_the_change_costs_who_knows_only_the_old_tastes_a_third_or_more(name):
    shop = DriftingShop(replace(PARAMETERS[name], users=80), 0)
    before, after = (shop.liking(shop.week(shop.parameters.turns + step)) for step in (-1, 0))
    old = best_by(before)
    kept = np.take_along_axis(after, old, 1).mean() / np.take_along_axis(before, old, 1).mean()
    assert kept < 0.7
    assert np.take_along_axis(after, best_by(after), 1).mean() > 0.2
    week = shop.week(1)
    slow = np.take_along_axis(shop.liking(week + 1), best_by(shop.liking(week)), 1).mean()
    assert (
        slow
        > 0.9 * np.take_along_axis(shop.liking(week + 1), best_by(shop.liking(week + 1)), 1).mean()
    )


def test_affinity_is_the_liking_and_some_carelessness():
    shop = DriftingShop(SMALL, 1)
    users, items = shop.user_ids[[0, 5, 7]], shop.catalogue.ids[[3, 3, 9]]
    at = shop.begins(shop.week(2)) + pd.Timedelta(hours=1)
    found = shop.affinity(users, items, at)
    liking = shop.liking(shop.week(2))[[0, 5, 7], [3, 3, 9]]
    assert found == pytest.approx(0.01 + 0.99 * liking)
    assert shop.affinity(np.array(["nobody"]), items[:1], at) == [0.0]
    assert shop.affinity(users[:1], np.array(["nothing"]), at) == [0.0]


def test_users_visit_what_they_want_within_their_weeks():
    shop = DriftingShop(SMALL, 2)
    log, week = shop.log(), shop.week(3)
    assert log["user_id"].nunique() == SMALL.users
    assert log["event_id"].is_unique
    times = pd.to_datetime(log["timestamp"], utc=True)
    assert times.min() >= START - pd.Timedelta(minutes=3)
    assert times.max() < shop.begins(shop.week(0))
    later = shop.organic(week)
    assert not set(later["event_id"]) & set(log["event_id"])
    times = pd.to_datetime(later["timestamp"], utc=True)
    assert times.between(shop.begins(week), shop.begins(week + 1)).all()
    visited = shop.places(later["user_id"], later["item_id"])
    liking = shop.liking(week)
    assert liking[visited].mean() > 3 * liking.mean()


def test_a_farm_stays_below_daily_limits_and_pushes_one_item():
    shop = DriftingShop(SMALL, 0)
    ids, begins = shop.catalogue.ids, shop.begins(shop.week(1))
    batch = poisoned_batch(Farm(), ids, "i0007", SMALL.users, begins, 0)
    assert_frame_equal(batch, poisoned_batch(Farm(), ids, "i0007", SMALL.users, begins, 0))
    assert batch["user_id"].nunique() == 8
    assert batch["event_id"].is_unique
    assert not set(batch["user_id"]) & set(shop.user_ids)
    bought = batch[batch["behavior"] == "buy"]
    assert set(bought["item_id"]) == {"i0007"}
    assert (batch["item_id"] == "i0007").mean() > 0.8
    days = pd.to_datetime(batch["timestamp"], utc=True).dt.date
    assert batch.groupby(["user_id", days]).size().max() < 100
