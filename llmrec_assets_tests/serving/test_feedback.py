"""Feedback counts at once, survives the process, and reaches the pipeline as it was sent."""

import json

import dagster as dg
import pandas as pd
import pytest

from llmrec_assets.core.behaviors import names
from llmrec_assets.resources.landing import Landing
from llmrec_assets.resources.wiring import resources_of
from llmrec_assets.sql import feedback_files, list_files
from llmrec_assets.sql.s6_recommendations import RECOMMENDATIONS
from llmrec_assets_tests.conftest import runner

NOW = 1_700_500_000


def event(n, user="u0005", item="i20", behavior="buy", **more):
    return {"event_id": f"e{n}", "user_id": user, "item_id": item, "timestamp": NOW + n,
            "behavior": behavior, **more}  # fmt: skip


def response(n, user="u0005", item="i20", answer="like", **more):
    return {"feedback_id": f"f{n}", "user_id": user, "item_id": item, "timestamp": NOW + n,
            "response": answer, **more}  # fmt: skip


def listed(client, user="u0005", **query):
    return [row["item_id"] for row in client.recommend(user, **query).json["items"]]


def live_history(client, user="u0005"):
    events = client.get(f"/v1/users/{user}/history").json["events"]
    return [(e["item_id"], e["behavior"]) for e in events if e["origin"] == "live"]


def lines(folder):
    files = [path for path in folder.iterdir() if path.name.endswith(".jsonl")]
    return [json.loads(line) for path in files for line in path.read_text().splitlines()]


def test_an_event_changes_the_very_next_list(start):
    client = start().client()
    before = listed(client)
    answer = client.feedback([event(1, item=before[0])])
    assert answer.status == 200
    assert answer.json == {"accepted": 1, "duplicates": 0, "durable": True}
    after = listed(client)
    assert before[0] not in after
    assert after != before[1:]
    assert live_history(client) == [(before[0], "buy")]


def test_a_response_counts_at_once_and_an_impression_does_not(start):
    client = start().client()
    first, second, third = listed(client)[:3]
    client.feedback(responses=[response(1, item=first, answer="impression", rank=1)])
    assert live_history(client) == []
    client.feedback(
        responses=[response(2, item=first), response(3, item=second, answer="不感兴趣")]
    )
    assert live_history(client) == [(second, "not_interested"), (first, "like")]
    assert second not in listed(client, k=200, exclude_seen=False)
    assert third in listed(client, k=200, exclude_seen=False)
    # The same told twice, by its event and as a response, is one event.
    told = event(4, item=third, behavior="like")
    client.feedback([told], [response(4, item=third, event_id="e4")])
    assert live_history(client)[0] == (third, "like")
    assert len(live_history(client)) == 3


def test_each_id_counts_once_and_other_content_is_refused(start):
    client = start().client()
    assert client.feedback([event(1)]).json["accepted"] == 1
    again = client.feedback([event(1), event(2)])
    assert again.json == {"accepted": 1, "duplicates": 1, "durable": True}
    other = client.feedback([event(3), event(1, item="i21")])
    assert other.status == 409
    assert "event_id" in other.json["detail"]
    assert client.feedback([event(3)]).json["accepted"] == 1  # nothing of that batch was kept


def test_what_was_acknowledged_survives_a_kill(start, serving_root):
    process = start(LLMREC_SERVE_SEGMENT_SECONDS="600")
    client = process.client()
    client.feedback([event(1), event(2, behavior="view")], [response(3, item="i21")])
    process.kill()
    open_files = [p for p in serving_root.landing_events.iterdir() if p.name.startswith(".serve-")]
    assert len(open_files) == 1
    with open_files[0].open("a") as file:
        file.write('{"event_id": "torn in the mid')
    assert Landing(root=str(serving_root.root)).ready_files("events") == []

    client = start().client()
    assert [e["event_id"] for e in lines(serving_root.landing_events)] == ["e1", "e2"]
    assert [r["feedback_id"] for r in lines(serving_root.landing_feedback)] == ["f3"]
    assert live_history(client) == [("i21", "like"), ("i20", "view"), ("i20", "buy")]
    assert client.feedback([event(1)]).json["duplicates"] == 1


def test_a_stop_hands_over_what_was_kept(start, serving_root):
    process = start(LLMREC_SERVE_SEGMENT_SECONDS="600")
    process.client().feedback([event(1)])
    assert process.stop() == 0
    files = Landing(root=str(serving_root.root)).ready_files("events")
    assert len(files) == 1
    assert not [p for p in serving_root.landing_events.iterdir() if p.name.startswith(".")]


def test_a_segment_closes_by_its_age(start, serving_root):
    process = start(LLMREC_SERVE_SEGMENT_SECONDS="0.1")
    process.client().feedback([event(1)])
    closed = process.wait_for_log("closed a segment")["file"]
    assert (serving_root.landing_events / closed).is_file()


def test_a_full_disk_is_told_and_loses_nothing(start, serving_root):
    process = start()
    client = process.client()
    serving_root.landing_events.rename(serving_root.landing / "away")
    serving_root.landing_events.write_text("no folder")  # nothing can be created in it
    answer = client.feedback([event(1)])
    assert answer.status == 503
    assert answer.headers["retry-after"] == "1"
    assert live_history(client) == []
    serving_root.landing_events.unlink()
    (serving_root.landing / "away").rename(serving_root.landing_events)
    assert client.feedback([event(1)]).json["accepted"] == 1


def test_a_response_to_a_live_list_brings_the_list_with_it(start, serving_root):
    """Once, before the response; lists of others and published ones are not written."""
    process = start(LLMREC_SERVE_SEGMENT_SECONDS="600")
    client = process.client()
    published = client.recommend("u0005", k=20).json
    live = client.recommend("u0005", k=5, category="tea").json
    others = client.recommend("u0006", k=5).json
    nobody = client.post("/v1/recommendations", {"cart": ["i01"], "k": 3}).json
    told = [
        response(n, answer="impression", list_id=made["list_id"])
        for n, made in enumerate([published, live, live, others, nobody])
    ]
    assert client.feedback(responses=told).json["accepted"] == len(told)
    assert client.feedback(responses=told).json["duplicates"] == len(told)
    assert client.feedback(responses=[response(9, list_id=live["list_id"])]).json["accepted"] == 1
    process.kill()
    (segment,) = serving_root.landing_lists.iterdir()
    rows = [json.loads(line) for line in segment.read_text().splitlines()]
    assert {row["user_id"] for row in rows} == {"u0005"}
    shown = ("rank", "item_id", "score", "probability", "propensity", "source")
    for made in (live, nobody):
        kept = [row for row in rows if row["list_id"] == made["list_id"]]
        assert [[r[name] for name in shown] for r in kept] == [
            [item[name] for name in shown] for item in made["items"]
        ]
        assert {row["model_version"] for row in kept} == {made["model_version"]}
    assert len(rows) == len(live["items"]) + len(nobody["items"])
    start().client()  # publishes what was left
    (segment,) = Landing(root=str(serving_root.root)).ready_files("lists")
    with resources_of(serving_root)["warehouse"].connect() as connection:
        RECOMMENDATIONS.create(connection)
        list_files.create_tables(connection)
        counts = list_files.ingest_file(connection, segment.path, segment.content_hash)
    assert counts == {"rows": 8, "accepted": 8, "duplicates": 0, "rejected": 0}


def test_a_list_that_stands_in_has_an_id_of_its_own(start, serving_root):
    asked = {"k": 5, "category": "tea"}
    ranked = start().client().recommend("u0005", **asked).json
    late = start(LLMREC_SERVE_BUDGET_MS="0").client()
    whole = late.recommend("u0005", k=20).json
    made = late.recommend("u0005", **asked).json
    sources = (ranked["source"], made["source"], whole["source"])
    assert sources == ("live", "fallback", "published")
    assert made["list_id"] != ranked["list_id"]
    lists = pd.read_parquet(next(serving_root.packages.glob("*/lists.parquet")))
    assert whole["list_id"] in set(lists.loc[lists["user_id"] == "u0005", "list_id"])


@pytest.mark.parametrize(
    "changed",
    [
        {"timestamp": None}, {"timestamp": "soon"}, {"timestamp": 5}, {"timestamp": 4e12},
        {"timestamp": True}, {"item_id": ""}, {"item_id": "a\nb"}, {"item_id": "x" * 257},
        {"item_id": " i20"}, {"rating": "high"}, {"rating": 1e300}, {"unasked": 1},
        {"text": "x" * 4001}, {"user_id": None},
    ],
)  # fmt: skip
def test_a_bad_event_is_refused_with_its_place(shared, changed):
    told = {name: value for name, value in {**event(1), **changed}.items() if value is not None}
    answer = shared.client().feedback([event(2), told])
    assert answer.status == 422
    assert "events.1" in answer.json["detail"]
    assert next(iter(changed)) in answer.json["detail"]


def test_the_pipeline_reads_the_segments(start, serving_root):
    """Every row of both kinds is taken, with all that was told."""
    process = start()
    strange = "q\"uo'te/ö用户 é"
    process.client().feedback(
        [
            event(1, rating=4.5, text="well\nmade", list_id="some list", session_id="s"),
            event(2, timestamp="2023-11-20T18:13:20+08:00", behavior="view"),
            event(3, user=strange),
        ],
        [response(4, rank=2, value=3.0, list_id="some list")],
    )
    assert process.stop() == 0
    with dg.DagsterInstance.ephemeral() as instance:
        runner(serving_root, instance)("ingest")
    (segment,) = Landing(root=str(serving_root.root)).ready_files("feedback")
    with resources_of(serving_root)["warehouse"].connect() as connection:
        told = connection.execute(
            """select user_id, behavior, rating, caused_by, text, epoch(timestamp)
            from s1_raw_events.raw_events order by event_id"""
        ).fetchall()
        rejected = connection.execute("select * from s1_raw_events.rejected_events").fetchall()
        feedback_files.create_tables(connection)
        feedback_files.register_names(connection, names())
        counts = feedback_files.ingest_file(connection, segment.path, segment.content_hash)
        answers = connection.execute(
            "select response, rank, value, list_id from s7_feedback.feedback"
        ).fetchall()
    assert rejected == []
    assert told == [
        ("u0005", "buy", 4.5, "some list", "well\nmade", NOW + 1),
        ("u0005", "view", None, None, None, 1_700_475_200),
        (strange, "buy", None, None, None, NOW + 3),
    ]
    assert counts == {"rows": 1, "accepted": 1, "duplicates": 0, "rejected": 0}
    assert answers == [("like", 2, 3.0, "some list")]
