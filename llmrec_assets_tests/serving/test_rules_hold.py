"""No list ever holds what is hidden, filtered out or (where asked) seen, whatever goes on."""

import itertools
import threading
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmrec_assets_tests.serving.store import CATEGORIES, ITEMS
from llmrec_assets_tests.serving.test_feedback import event

USERS = [f"u{n:04}" for n in range(12)] + ["newcomer"]
ITEM = st.integers(0, ITEMS - 1).map("i{:02}".format)
PRICE = st.none() | st.integers(0, 80)


class Traffic:
    """Threads that post events and exchange packages; what was acknowledged is noted after."""

    def __init__(self, process, store, layout):
        self.process, self.store, self.layout = process, store, layout
        self.done = {user: [] for user in USERS}  # (item, whether it hides), in order
        self.stopped, self.failures, self.takeovers = threading.Event(), [], 0
        self.threads = [threading.Thread(target=work) for work in (self.post, self.exchange)]

    def post(self):
        client = self.process.client()
        for n in itertools.count():
            if self.stopped.wait(0.02):
                return
            user, hides = USERS[n % len(USERS)], n % 3 == 0
            told = event(n, user, f"i{n * 7 % ITEMS:02}", "dislike" if hides else "view")
            answer = client.feedback([told])
            if answer.status != 200:
                self.failures.append(answer.body)
            self.done[user].append((told["item_id"], hides))
            if n % 60 == 59:  # else there would be nothing left to list
                self.done[user].clear()

    def exchange(self):
        for n in itertools.count(1):
            self.store.switch(self.layout, n % 2)
            self.process.wait_for_log("package took over")
            self.takeovers = n
            if self.stopped.wait(1.0):
                return


@pytest.mark.parametrize("budget", ["20000", "0"], ids=["live", "fallback"])
def test_no_list_holds_what_it_must_not(start, store, serving_root, budget):
    process = start(LLMREC_SERVE_BUDGET_MS=budget, LLMREC_SERVE_CANARY_USERS="20")
    client = process.client()
    packages = {info: store.package(n) for n, info in enumerate(store.ids)}
    traffic = Traffic(process, store, serving_root)
    answered = set()

    @settings(max_examples=150, deadline=None, database=None, derandomize=True,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(
        user=st.sampled_from(USERS),
        k=st.integers(1, 70),
        exclude_seen=st.sampled_from([None, True, False]),
        category=st.lists(st.sampled_from([*CATEGORIES, "none such"]), max_size=2),
        prices=st.tuples(PRICE, PRICE),
        never=st.lists(ITEM, max_size=4),
        cart=st.lists(ITEM, max_size=3),
        session=st.lists(ITEM, max_size=3),
        diversity=st.sampled_from([0, 0, 0.5, 1]),
        most=st.sampled_from([None, None, 1, 3]),
    )
    def holds(user, k, exclude_seen, category, prices, never, cart, session, diversity, most):
        before = list(traffic.done[user])
        low, high = sorted(prices) if None not in prices else prices
        told = {"user_id": user, "k": k, "exclude_seen": exclude_seen, "category": category,
                "min_price": low, "max_price": high, "diversity": diversity,
                "max_per_category": most, "always": never[:1], "never": never, "cart": cart,
                "session": [{"item_id": item, "behavior": "view"} for item in session]}  # fmt: skip
        answer = client.post("/v1/recommendations", told)
        assert answer.status == 200, answer.body
        package = packages[answer.json["package"]]
        rows = answer.json["items"]
        items = [row["item_id"] for row in rows]
        answered.add((answer.json["source"], answer.json["package"]))
        assert len(items) == len(set(items)) <= k
        assert not set(items) & {*never, *cart, *(item for item, hides in before if hides)}
        assert not category or {row["category"] for row in rows} <= set(category)
        assert all(low is None or row["price"] >= low for row in rows)
        assert all(high is None or row["price"] <= high for row in rows)
        counts = Counter(row["category"] for row in rows)
        assert most is None or not counts or max(counts.values()) <= most
        if exclude_seen:
            assert not set(items) & (
                seen(package, user) | {item for item, _ in before} | {*session}
            )

    for thread in traffic.threads:
        thread.start()
    try:
        while traffic.takeovers < 2:
            holds()
            assert all(thread.is_alive() for thread in traffic.threads)
    finally:
        traffic.stopped.set()
        for thread in traffic.threads:
            thread.join()
    assert not traffic.failures
    ranked = "live" if budget != "0" else "fallback"
    assert ranked in {source for source, _ in answered} <= {ranked, "published"}
    assert {package for _, package in answered} == set(store.ids)


def seen(package, user):
    if user not in package.users:
        return set()
    whole, code = package.snapshot.sequences, package.users[user]
    span = whole.items[whole.offsets[code] : whole.offsets[code + 1]]
    return {package.items["item_id"][item - 1] for item in span.tolist()}
