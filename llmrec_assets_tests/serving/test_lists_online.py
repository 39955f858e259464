"""What lists are online: those of the batch, then those of the newest events, within the rules."""

import re

import numpy as np
import pytest

from llmrec_assets.serving.options import ServeOptions
from llmrec_assets_tests.serving.store import CATEGORIES, USERS


def ids(answer):
    assert answer.status == 200, answer.body
    return [row["item_id"] for row in answer.json["items"]]


@pytest.fixture(scope="module")
def client(shared):
    return shared.client()


def test_lists_of_a_thousand_random_users_are_the_published_ones(store, client):
    package = store.package()
    kept = dict(list(package.lists.groupby("user_id")))
    drawn = np.random.default_rng(1).permutation(USERS)[:1_000]
    for user in (package.user_ids[place] for place in drawn):
        answer, rows = client.recommend(user, k=20).json, kept[user]
        assert (answer["source"], answer["list_id"]) == ("published", rows["list_id"].iloc[0])
        assert [row["item_id"] for row in answer["items"]] == rows["item_id"].tolist()
        # One more is another list, which is ranked now.
        longer = client.recommend(user, k=21).json
        assert longer["source"] == "live"
        ranked = longer["items"][: len(rows)]
        assert [row["item_id"] for row in ranked] == rows["item_id"].tolist()
        assert np.allclose([row["score"] for row in ranked], rows["score"], atol=1e-4)


def test_a_shorter_list_is_the_beginning_of_the_published_one(client):
    whole = client.recommend("u0001", k=20).json
    short = client.recommend("u0001", k=3).json
    assert (short["source"], short["items"]) == ("published", whole["items"][:3])
    assert short["list_id"] != whole["list_id"], "feedback names the list that was shown"
    ranked = client.recommend("u0001", k=3, category=["tea"]).json
    assert ranked["source"] == "live"


def test_filters_leave_nothing_else(store, client):
    facts = store.package().items.set_index("item_id")
    found = ids(
        client.recommend("u0001", k=50, category=["tea", "books"], min_price=20, max_price=50)
    )
    kept = facts.loc[found]
    assert len(found) > 5
    assert set(kept["category"]) == {"tea", "books"}
    assert kept["price"].between(20, 50).all()
    assert ids(client.recommend("u0001", category="no such")) == []
    first = ids(client.recommend("u0001", k=3))
    assert not set(first) & set(ids(client.recommend("u0001", k=50, never=first)))


def test_seen_items_are_left_out_or_not(client):
    past = {e["item_id"] for e in client.get("/v1/users/u0001/history", limit=1000).json["events"]}
    assert not past & set(ids(client.recommend("u0001", k=200, exclude_seen=True)))
    assert past <= set(ids(client.recommend("u0001", k=200, exclude_seen=False)))


def test_what_a_user_wants_no_more_of_is_never_listed(client):
    assert "i07" not in ids(client.recommend("u0003", k=200, exclude_seen=False))
    assert "i07" in ids(client.recommend("u0004", k=200, exclude_seen=False))


def test_a_session_and_a_cart_change_the_list(client):
    def listed(**body):
        return ids(client.post("/v1/recommendations", {"k": 10, **body}))

    nobody = listed()
    session = listed(session=[{"item_id": "i01", "behavior": "buy"}])
    cart = listed(cart=["i01", "i04"])
    assert nobody != session
    assert "i01" not in session
    assert not {"i01", "i04"} & set(cart)
    assert not {"i01"} & set(listed(cart=["i01"], exclude_seen=False))
    mine = listed(user_id="u0001", session=[{"item_id": "i02", "behavior": "view", "rating": 4}])
    assert mine != listed(user_id="u0001")
    answer = client.post("/v1/recommendations", {"cart": ["unheard of"]}).json
    assert answer["ignored"] == 1
    assert [row["item_id"] for row in answer["items"]] == nobody


def test_similar_items_are_those_of_like_texts(client):
    near = client.get("/v1/items/i01/similar", k=5).json["items"]
    assert len(near) == 5
    assert "i01" not in [row["item_id"] for row in near]
    assert near[0]["category"] == CATEGORIES[1]
    assert [row["similarity"] for row in near] == sorted(
        (r["similarity"] for r in near), reverse=True
    )
    assert client.get("/v1/items/unheard/similar").status == 404


def test_items_are_found_by_words_of_their_titles(client):
    found = client.get("/v1/items", query="TEA 绿", k=10).json["items"]
    assert found
    assert all("tea" in row["title"] and "绿" in row["title"] for row in found)
    assert len(client.get("/v1/items", k=7).json["items"]) == 7


def test_the_model_that_serves_is_described(store, client):
    told = client.get("/v1/model").json
    info = store.package().info
    assert (told["package"], told["model_version"]) == (info.package_id, info.model_version)
    assert (told["users"], told["items"]) == (USERS, 60)
    assert told["relative"] is False
    champion, challenger = told["champion"], told["challenger"]
    assert champion["version"] == challenger["version"] == info.model_version
    assert champion["ndcg_at_10"] == challenger["ndcg_at_10"] > 0
    assert champion["recall_at_10"] > 0
    assert (challenger["outcome"], challenger["reason"]) == ("promoted", "a test")
    assert told["links"] == {"dagster": "http://127.0.0.1:3000/assets/recommendations"}
    options = ServeOptions(mlflow_url="https://mlflow.example")
    mlflow = options.links(info.links)["mlflow"]
    assert re.fullmatch(r"https://mlflow\.example/#/experiments/\d+/runs/[0-9a-f]{32}", mlflow)


def test_unknown_users_get_the_list_of_newcomers_and_have_no_history(client):
    lists = [ids(client.recommend(user, k=20)) for user in ("nobody", "erased", "用户/\"'; drop")]
    assert lists[0] == lists[1] == lists[2]
    assert len(lists[0]) == 20
    assert client.get("/v1/users/nobody/history").json == {"events": []}


def test_a_list_can_be_varied_by_rules(client):
    plain = client.recommend("u0001", k=9).json["items"]
    limited = client.recommend("u0001", k=9, max_per_category=3).json["items"]
    assert max(row["category"] for row in plain)
    counts = [sum(row["category"] == c for row in limited) for c in CATEGORIES]
    assert counts == [3, 3, 3]
    last = ids(client.recommend("u0001", k=200))[-1]
    assert last in ids(client.recommend("u0001", k=5, always=[last]))
    assert ids(client.recommend("u0001", k=9, diversity=0.9)) != [row["item_id"] for row in plain]
    hidden = ids(client.recommend("u0001", k=5, always=[last], never=[last], diversity=0.5))
    assert last not in hidden


def test_an_item_is_explained_by_events_of_the_history(client):
    past = {e["item_id"] for e in client.get("/v1/users/u0001/history").json["events"]}
    item = ids(client.recommend("u0001"))[0]
    told = client.post("/v1/why", {"user_id": "u0001", "item_id": item, "language": "zh"}).json
    assert {driver["item_id"] for driver in told["drivers"]} <= past
    assert told["drivers"]
    assert set(told["parts"]) == {"texts", "behavior", "time", "reranking"}
    assert told["sentence"]
    assert told["copy"]
    nobody = client.post("/v1/why", {"item_id": item}).json
    assert nobody["drivers"] == []
    assert client.post("/v1/why", {"item_id": "unheard of"}).status == 404
