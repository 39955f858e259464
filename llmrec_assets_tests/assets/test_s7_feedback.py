"""Feedback through the real graph: attribution, the way back, and bad files."""

import json

import duckdb
import pandas as pd
import pytest

from llmrec_assets_tests.conftest import SIX_LINES


@pytest.fixture
def lists(root, run_job):
    (root.landing_events / "events.csv").write_text(SIX_LINES)
    run_job()
    return pd.read_parquet(root.recommendations)


def drop(root, rows, name="f.jsonl"):
    path = root.landing_feedback / name
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")


def read(root, query):
    with duckdb.connect(str(root.warehouse), read_only=True) as connection:
        return connection.execute(query).df()


def response(shown, response, n, **changes):
    row = {
        "feedback_id": f"f{n}",
        "list_id": shown["list_id"],
        "user_id": shown["user_id"],
        "item_id": shown["item_id"],
        "rank": int(shown["rank"]),
        "timestamp": 10 + n,
        "response": response,
    }
    return {key: value for key, value in (row | changes).items() if value is not None}


def test_a_positive_response_returns_exactly_once(root, run_job, lists):
    shown = lists.iloc[0]
    drop(root, [response(shown, "impression", 1), response(shown, "click", 2)])
    run_job("collect_feedback")
    table = read(root, "from s7_feedback.feedback order by seq")
    assert table["attribution"].tolist() == ["list_id", "list_id"]
    assert set(table["model_version"]) == {shown["model_version"]}
    assert table["returned_in"].isna().tolist() == [True, False]
    rates = read(root, "from s7_feedback.response_rates").iloc[0]
    assert (rates["impressions"], rates["clicks"], rates["click_through"]) == (1, 1, 1.0)
    for _ in range(2):
        run_job("ingest")
        run_job("collect_feedback")
    events = read(root, "from s1_raw_events.raw_events where event_id like 'feedback:%'")
    assert events["event_id"].tolist() == ["feedback:f2"]
    assert events["behavior"].tolist() == ["click"]
    assert events["step"].tolist() == [12]
    assert len(list(root.landing_events.glob("returned-*"))) == 1


def test_responses_may_come_before_the_first_list(root, run_job):
    (root.landing_events / "events.csv").write_text(SIX_LINES)
    run_job("ingest")
    shown = {"list_id": "l", "user_id": "1", "item_id": "1003", "rank": 1}
    drop(root, [response(shown, "click", 1)])
    run_job("collect_feedback")
    table = read(root, "from s7_feedback.feedback")
    assert table["attribution"].tolist() == ["none"]
    assert len(list(root.landing_events.glob("returned-*"))) == 1


def test_a_response_whose_event_is_known_is_linked(root, run_job, lists):
    shown = dict(lists.iloc[0]) | {"user_id": "1", "item_id": "1003"}
    own = read(root, "select event_id from s1_raw_events.raw_events where seq = 3")["event_id"][0]
    drop(
        root,
        [
            response(shown, "buy", 1, list_id=None, timestamp=3),
            response(shown, "buy", 2, list_id=None, event_id=own),
        ],
    )
    run_job("collect_feedback")
    table = read(root, "from s7_feedback.feedback")
    assert table["event_id"].tolist() == [own, own]
    assert table["attribution"].tolist() == ["none", "none"]
    assert not list(root.landing_events.glob("returned-*"))


def test_a_response_that_names_its_event_before_it_comes_stands_in_for_it(root, run_job, lists):
    shown = lists.iloc[0]
    drop(root, [response(shown, "click", 1, event_id="own")])
    run_job("collect_feedback")
    run_job("ingest")
    row = {"event_id": "own", "user_id": shown["user_id"], "item_id": shown["item_id"]}
    row |= {"timestamp": 9, "behavior": "click", "rating": 4, "session_id": "s", "value": 2}
    (root.landing_events / "late.jsonl").write_text(json.dumps(row))
    for _ in range(2):
        run_job("ingest")
        run_job("collect_feedback")
    events = read(root, "from s1_raw_events.raw_events where event_id = 'own'")
    assert events[["step", "rating", "value"]].values.tolist() == [[9, 4.0, 2.0]]
    assert events["session_id"].tolist() == ["s"]
    assert events["seq"].tolist() == [8]
    assert read(root, "from s1_raw_events.rejected_events").empty
    assert read(root, "from s7_feedback.feedback")["event_id"].tolist() == ["own"]
    assert len(list(root.landing_events.glob("returned-*"))) == 1


def test_a_user_whose_only_event_waits_for_the_next_cleaning_keeps_a_list(root, run_job, lists):
    drop(root, [response(lists.iloc[0], "click", 1, event_id="own", user_id="new")])
    run_job("collect_feedback")
    run_job()
    row = {"event_id": "own", "user_id": "new", "item_id": lists["item_id"][0]}
    row |= {"timestamp": 11, "behavior": "click", "rating": 4}
    (root.landing_events / "late.jsonl").write_text(json.dumps(row))
    run_job("ingest")
    run_job("refresh_lists")
    assert "new" in set(pd.read_parquet(root.recommendations)["user_id"])


def test_an_item_that_a_user_wants_no_more_of_leaves_the_lists_of_that_user(root, run_job, lists):
    everything = {"recommendations": {"exclude_seen": False}}
    hidden, skipped = lists.iloc[0], lists.iloc[1]
    drop(root, [response(hidden, "not_interested", 1), response(skipped, "skip", 2)])
    run_job("collect_feedback")
    run_job("ingest")
    events = read(root, "from s1_raw_events.raw_events where event_id like 'feedback:%'")
    assert events["behavior"].tolist() == ["not_interested"]
    assert events["caused_by"].tolist() == [hidden["list_id"]]
    for job in ("refresh_lists", "retrain"):
        run_job(job, config=everything)
        made = pd.read_parquet(root.recommendations)
        shown = set(zip(made["user_id"], made["item_id"], strict=True))
        assert (hidden["user_id"], hidden["item_id"]) not in shown
        assert len(shown) == 2 * 4 - 1
    negative = read(root, "select positive from s2_sequences.clean_events"
                    " where behavior = 'not_interested'")  # fmt: skip
    assert negative["positive"].tolist() == [False]


def test_a_response_without_list_id_belongs_to_the_newest_list_that_showed_the_item(
    root, run_job, lists
):
    shown, now = lists.iloc[0], pd.Timestamp.now("UTC")
    times = {"soon": now + pd.Timedelta("1h"), "late": now + pd.Timedelta("8D")}
    rows = [
        response(shown, "click", n, list_id=None, timestamp=time.isoformat())
        for n, time in enumerate(times.values())
    ]
    drop(root, rows)
    run_job("collect_feedback")
    table = read(root, "from s7_feedback.feedback order by seq")
    assert table["attribution"].tolist() == ["last_touch", "none"]
    assert table["caused_by"].tolist()[0] == shown["list_id"]


def test_an_unknown_list_is_organic_and_warned_about(root, run_job, lists):
    drop(root, [response(lists.iloc[0], "click", 1, list_id="nobody's")])
    result = run_job("collect_feedback")
    assert read(root, "from s7_feedback.feedback")["attribution"].tolist() == ["none"]
    checks = {c.check_name: c.passed for c in result.get_asset_check_evaluations()}
    assert checks == {
        "lists_named_by_feedback_are_known": False,
        "responses_are_behaviors_of_the_dictionary": True,
        "popularity_does_not_feed_itself": True,
        "no_user_gives_most_of_a_day": True,
    }


def test_bad_rows_are_refused_with_line_and_reason_and_repeats_count_once(root, run_job, lists):
    shown = lists.iloc[0]
    rows = [
        response(shown, "click", 1),
        response(shown, "click", 1),
        response(shown, "click", 2, rank=0),
        response(shown, "click", 3, timestamp="yesterday"),
        response(shown, "", 4),
    ]
    drop(root, rows)
    drop(root, rows[:1], "again.jsonl")
    (root.landing_feedback / "wrong.csv").write_text("a,b\n1,2\n")
    result = run_job("collect_feedback")
    assert len(read(root, "from s7_feedback.feedback")) == 1
    refused = read(root, "from s7_feedback.rejected_feedback order by file, line")
    assert refused["line"].dropna().tolist() == [3, 4, 5]
    assert refused["reason"].str.contains("rank|time|response|feedback_id").all()
    ledger = read(root, "from s7_feedback.files")
    assert (ledger["rows"] == ledger[["accepted", "duplicates", "rejected"]].sum(axis=1)).all()
    assert ledger.set_index("name")["rows"].to_dict() == {
        "f.jsonl": 5,
        "again.jsonl": 1,
        "wrong.csv": 0,
    }
    (found,) = result.asset_materializations_for_node("feedback")
    assert found.metadata["rejected_rows"].value == 3
    assert found.metadata["rejected_files"].value == 1


def test_a_bad_row_does_not_swallow_the_good_one_and_a_reused_id_is_named(root, run_job, lists):
    shown = lists.iloc[0]
    rows = [
        response(shown, "click", 1, rank=0),
        response(shown, "click", 1),
        response(shown, "buy", 1),
    ]
    drop(root, rows)
    run_job("collect_feedback")
    assert read(root, "from s7_feedback.feedback")["response"].tolist() == ["click"]
    refused = read(root, "from s7_feedback.rejected_feedback order by line")
    assert refused["line"].tolist() == [1, 3]
    assert "came before" in refused["reason"][1]
