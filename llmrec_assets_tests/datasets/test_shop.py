from collections import Counter
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from llmrec_assets.datasets.shop import DIRTY_ROWS, Shop, generate, write_landing
from llmrec_assets.datasets.shop_words import CATEGORIES, FOLLOWERS

NOW = pd.Timestamp("2026-01-02T00:00:00Z")


@pytest.fixture(scope="module")
def shop() -> Shop:
    return generate()


def visited(shop: Shop) -> pd.DataFrame:
    """Browsing in order: the first event of each visit."""
    return shop.events[shop.events["behavior"] == "browse"]


def test_the_same_seed_gives_the_same_shop_and_another_seed_another():
    one, two, other = (generate(seed, n_users=60, n_items=100) for seed in (3, 3, 4))
    assert_frame_equal(one.events, two.events)
    assert_frame_equal(one.items, two.items)
    users, items = one.truth.user_ids[:50], one.truth.world.catalogue.ids[:50]
    assert (one.truth.affinity(users, items, NOW) == two.truth.affinity(users, items, NOW)).all()
    assert not one.events["item_id"].equals(other.events["item_id"])


def test_size_ids_and_columns(shop: Shop):
    assert list(shop.events.columns) == [
        "event_id", "user_id", "item_id", "timestamp", "behavior", "rating", "value", "session_id",
    ]  # fmt: skip
    assert list(shop.items.columns) == [
        "item_id", "title", "category", "brand", "description", "price",
    ]  # fmt: skip
    assert 33_000 < len(shop.events) < 42_000
    assert shop.events["event_id"].is_unique
    assert shop.events["user_id"].nunique() == 1500
    assert {"u00017", "u01499"} <= set(shop.events["user_id"])
    assert {"i0042", "i0399"} <= set(shop.items["item_id"])
    assert set(shop.events["item_id"]) <= set(shop.items["item_id"])
    assert shop.events["timestamp"].is_monotonic_increasing
    assert shop.events["timestamp"].str.fullmatch(r"2025-\d\d-\d\dT\d\d:\d\d:\d\dZ").all()


def test_titles_are_distinct_and_in_both_languages(shop: Shop):
    assert shop.items["title"].is_unique
    assert shop.items["title"].str.contains(r"[\u4e00-\u9fff]").all()
    assert shop.items["title"].str.contains("[A-Za-z]{3}").all()
    assert shop.items["category"].nunique() == 10
    assert (shop.items["price"] > 0).all()


def test_more_items_than_titles_are_refused():
    with pytest.raises(ValueError, match="ask for fewer items"):
        generate(n_users=2, n_items=5000)


def test_every_good_has_followers_that_exist():
    goods = {good for category in CATEGORIES for good, _, _ in category.goods}
    assert set(FOLLOWERS) == goods
    assert {name for names in FOLLOWERS.values() for name in names} <= goods


def test_a_funnel_narrows_and_keeps_its_order(shop: Shop):
    counts = shop.events["behavior"].value_counts()
    assert counts["browse"] > counts["click"] > counts["cart"] > counts["buy"] > 500
    assert counts["like"] > 100
    key = ["session_id", "item_id"]
    first = shop.events.groupby([*key, "behavior"])["timestamp"].min().unstack()
    for earlier, later in (("browse", "click"), ("click", "cart"), ("cart", "buy")):
        reached = first[first[later].notna()]
        assert (reached[earlier] < reached[later]).all()


def test_ratings_are_on_buys_and_dwell_on_browsing(shop: Shop):
    rated = shop.events[shop.events["rating"].notna()]
    assert set(rated["behavior"]) == {"buy"}
    assert set(rated["rating"]) <= {1, 2, 3, 4, 5}
    assert (shop.events["value"].notna() == (shop.events["behavior"] == "browse")).all()
    assert shop.events["value"].dropna().gt(0).all()


def test_sessions_of_a_user_do_not_overlap(shop: Shop):
    sessions = shop.events.groupby(["user_id", "session_id"])["timestamp"].agg(["min", "max"])
    previous_end = sessions["max"].groupby("user_id").shift()
    inside = previous_end.notna()
    assert (sessions["min"][inside] > previous_end[inside]).all()


def test_categories_peak_in_their_season(shop: Shop):
    frame = visited(shop).merge(shop.items[["item_id", "category"]], on="item_id")
    month = frame["timestamp"].str[5:7].astype(int)
    for category in CATEGORIES:
        share = frame["category"].str.endswith(category.word[0]).groupby(month).mean()
        peak = int(category.peak_month)
        assert share[peak] > 1.3 * share[(peak + 5) % 12 + 1], category.word[0]


def test_what_follows_what_beats_popularity(shop: Shop):
    visits = visited(shop).groupby("user_id")["item_id"].agg(list)
    train, last = [items[:-1] for items in visits], [items[-1] for items in visits]
    popular = Counter(item for items in train for item in items)
    pairs = Counter(pair for items in train for pair in pairwise(items))
    following: dict[str, Counter[str]] = {}
    for (item, follower), count in pairs.items():
        following.setdefault(item, Counter())[follower] = count
    top = {item for item, _ in popular.most_common(10)}
    by_count = [
        target in {item for item, _ in following.get(items[-1], Counter()).most_common(10)}
        for items, target in zip(train, last, strict=True)
    ]
    by_popularity = [target in top for target in last]
    assert np.mean(by_count) > 2 * np.mean(by_popularity)


def test_the_truth_ranks_the_last_visit_above_what_counts_could(shop: Shop):
    last = visited(shop).groupby("user_id").tail(1).head(400)
    items = shop.items["item_id"].to_numpy()
    users = np.repeat(last["user_id"].to_numpy(), len(items))
    times = np.repeat(pd.to_datetime(last["timestamp"]).to_numpy(), len(items))
    scores = shop.truth.affinity(users, np.tile(items, len(last)), times).reshape(len(last), -1)
    assert ((scores > 0) & (scores < 1)).all()
    target = pd.Index(items).get_indexer(pd.Index(last["item_id"]))
    rank = (scores > scores[np.arange(len(last)), target][:, None]).sum(axis=1)
    assert (rank < 10).mean() > 0.45


def test_truth_gives_unknown_users_and_items_no_chance(shop: Shop):
    users, items = np.array(["u00001", "nobody", "u00001"]), np.array(["i0001", "i0001", "none"])
    chances = shop.truth.affinity(users, items, NOW)
    assert chances[0] > 0
    assert list(chances[1:]) == [0.0, 0.0]


def test_landing_files_are_the_same_bytes_and_end_with_dirty_rows(tmp_path):
    small = generate(5, n_users=40, n_items=60)
    for name in ("one", "two"):
        write_landing(small, tmp_path / name / "events", tmp_path / name / "items")
    written = sorted(path.name for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert written == ["shop-events.csv", "shop-items.csv"]
    for part in ("events/shop-events.csv", "items/shop-items.csv"):
        assert (tmp_path / "one" / part).read_bytes() == (tmp_path / "two" / part).read_bytes()
    back = pd.read_csv(tmp_path / "one/events/shop-events.csv", dtype=str)
    assert len(back) == len(small.events) + len(DIRTY_ROWS)
    assert list(back["event_id"].tail(len(DIRTY_ROWS))) == [row[0] for row in DIRTY_ROWS]
    bad = back["user_id"].isna() | back["item_id"].isna()
    bad |= pd.to_datetime(back["timestamp"], errors="coerce", format="ISO8601").isna()
    assert bad.sum() == len(DIRTY_ROWS)
