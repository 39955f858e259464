"""A new package takes over whole, checked, and without a failed request."""

import hashlib
import json
import shutil
import threading
import time
from datetime import UTC, datetime

import pandas as pd

from llmrec_assets import published
from llmrec_assets_tests.serving.test_feedback import event, lines, live_history, response


def test_lists_under_load_are_of_one_package_each(store, start, serving_root):
    process, stop, seen = start(LLMREC_SERVE_RATE="1000000"), threading.Event(), []
    sources: set[str] = set()
    kept = [
        {user: rows["item_id"].tolist() for user, rows in store.package(n).lists.groupby("user_id")}
        for n in range(2)
    ]

    def ask(worker):
        client, n = process.client(), worker
        while not stop.is_set():
            n = (n + 7) % 1_000
            user = f"u{n:04}"
            answer = client.recommend(user, k=20 + n % 2)  # as published, or one more: ranked now
            items = [row["item_id"] for row in answer.json["items"]] if answer.status == 200 else []
            sources.add(answer.json.get("source"))
            seen.append((answer.status, answer.json.get("package"), user, items[:20]))

    workers = [threading.Thread(target=ask, args=(n,)) for n in range(4)]
    for worker in workers:
        worker.start()
    store.switch(serving_root, 1)
    took = process.wait_for_log("package took over")
    before = len(seen)
    while len(seen) < before + 200:
        assert all(worker.is_alive() for worker in workers)
        stop.wait(0.01)
    stop.set()
    for worker in workers:
        worker.join()
    assert took["package"] == store.ids[1]
    assert {status for status, *_ in seen} == {200}
    assert sources == {"published", "live"}
    assert {package for _, package, *_ in seen} == set(store.ids)
    for _, package, user, items in seen:
        assert items == kept[store.ids.index(package)][user]


def test_events_that_the_package_holds_leave_the_memory(store, start, serving_root):
    process = start(LLMREC_SERVE_SEGMENT_SECONDS="0.1")
    client = process.client()
    client.feedback([event(1)])
    held = process.wait_for_log("closed a segment")["file"]
    client.feedback([event(2, behavior="view")])
    process.wait_for_log("closed a segment")
    republish(store, serving_root, segments=[held])
    process.wait_for_log("package took over")
    assert live_history(client) == [("i20", "view")]


def test_what_was_forgotten_leaves_the_memory_too(store, start, serving_root):
    process = start(LLMREC_SERVE_SEGMENT_SECONDS="1")
    client = process.client()
    client.feedback([event(1, item="i10"), event(2, "gone"), event(3, "stays")])
    segment = serving_root.landing_events / process.wait_for_log("closed a segment")["file"]
    shown = {user: client.recommend(user, k=3).json["list_id"] for user in ("gone", "stays")}
    kept = [line for line in segment.read_text().splitlines(True) if '"gone"' not in line]
    segment.write_text("".join(kept))
    time.sleep(1.1)  # names of segments tell seconds
    client.feedback([event(4, item="i40")])  # in a segment that is open, or was closed since
    republish(store, serving_root, forgotten=1)
    process.wait_for_log("package took over")
    assert live_history(client, "gone") == []
    assert len(live_history(client, "stays")) == 1
    assert {item for item, _ in live_history(client)} == {"i10", "i40"}
    answers = [response(n, user, list_id=shown[user]) for n, user in enumerate(shown)]
    client.feedback(responses=answers)
    process.stop()
    assert {row["user_id"] for row in lines(serving_root.landing_lists)} == {"stays"}


def republish(store, layout, **changes):
    """Publish the second package with other facts."""
    folder = layout.packages / ".segments"
    shutil.copytree(store.folder / store.ids[1], folder)
    info = published.PublishedInfo.model_validate_json((folder / published.INFO).read_text())
    make_current(layout, folder, info.model_copy(update=changes))


def make_current(layout, folder, info):
    """Give a folder the info and its place, as the pipeline does; its id."""
    info = published._named(info)
    (folder / published.INFO).write_text(info.model_dump_json())
    folder.rename(layout.packages / info.package_id)
    hidden = layout.current_package.with_name(".current.json")
    hidden.write_text(json.dumps({"package": info.package_id}))
    hidden.replace(layout.current_package)
    return info.package_id


def test_a_package_that_ranks_otherwise_is_refused_and_the_old_one_goes_on(
    store, start, serving_root
):
    process = start()
    client = process.client()
    package = publish_other_lists(store, serving_root, serving_root.packages / ".otherwise")
    refused = process.wait_for_log("package refused")
    assert refused["package"] == package
    assert "differ" in refused["reason"]
    assert client.recommend("u0001").json["package"] == store.ids[0]
    assert process.metric('llmrec_takeovers_total{outcome="refused"}') == {
        'llmrec_takeovers_total{outcome="refused"}': 1.0
    }
    store.switch(serving_root, 1)
    process.wait_for_log("package took over")
    assert client.recommend("u0001").json["package"] == store.ids[1]


def publish_other_lists(store, layout, folder):
    """A package whose checksums are right, but whose lists another model made; its id."""
    shutil.copytree(store.folder / store.ids[1], folder)
    path = folder / published.LISTS
    lists = pd.read_parquet(path)
    first = lists["rank"] == 1
    lists.loc[first & (lists["user_id"] == "u0002"), "item_id"] = "i59"
    lists.loc[first & (lists["user_id"] == "u0002"), "score"] += 1
    lists.to_parquet(path, index=False)
    info = published.PublishedInfo.model_validate_json((folder / published.INFO).read_text())
    info.files[published.LISTS] = hashlib.sha256(path.read_bytes()).hexdigest()
    return make_current(layout, folder, info)


def test_a_damaged_package_is_refused_and_readiness_says_why(store, serving_root, start):
    (serving_root.packages / store.ids[0] / published.LISTS).unlink()
    (serving_root.packages / store.ids[0] / published.LISTS).write_bytes(b"other")
    process = start(ready=False)
    assert process.wait_for_log("package refused")["reason"] == "BrokenPackage"
    client = process.client()
    assert client.get("/health/live").status == 200
    ready = client.get("/health/ready")
    assert ready.status == 503
    assert "was refused" in ready.json["reason"]
    assert client.recommend("u0001").status == 503


def test_a_service_without_a_package_waits_for_one(store, serving_root, start):
    serving_root.current_package.unlink()
    process = start(ready=False)
    client = process.client()
    assert "llmrec run" in client.get("/health/ready").json["reason"]
    assert client.recommend("u0001").headers["retry-after"] == "1"
    store.switch(serving_root, 0)
    process.wait_until_ready()
    assert client.get("/health/ready").status == 200
    assert client.recommend("u0001").status == 200


def test_an_odd_line_of_a_segment_is_passed_over(store, serving_root, start):
    serving_root.landing_feedback.mkdir(exist_ok=True)
    odd = [
        {"feedback_id": "f1", "user_id": "u0001", "item_id": "i01", "response": "like"},
        {"feedback_id": "f2", "item_id": "i01", "response": "like", "timestamp": "soon"},
        {"feedback_id": "f3", "user_id": "u0001", "item_id": "i02", "response": "like",
         "timestamp": "2026-01-01T00:00:00Z"},
    ]  # fmt: skip
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    path = serving_root.landing_feedback / f"serve-{stamp}-0a1b2c3d.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in odd))
    process = start()
    assert live_history(process.client(), "u0001") == [("i02", "like")]


def test_a_package_without_one_of_its_files_is_refused(store, serving_root, start):
    folder = serving_root.packages / store.ids[0]
    (folder / "scorer.json").unlink()
    process = start(ready=False)
    process.wait_for_log("package refused")
    assert "a file is missing" in process.client().get("/health/ready").json["reason"]
