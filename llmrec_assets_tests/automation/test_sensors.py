"""Sensors through their contexts: what they ask for, when they wait and when they give up."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime

import dagster as dg
import pytest

from llmrec_assets.automation import history, jobs, schedules, sensors
from llmrec_assets.resources.landing import Landing

ONE = "user_id,item_id,timestamp,behavior\n1,a,1,buy\n"


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def landing(root):
    return Landing(root=str(root.root))


def materialised(instance, asset, **metadata):
    instance.report_runless_asset_event(dg.AssetMaterialization(asset, metadata=metadata))


def ask(sensor, instance, **resources):
    return sensor(dg.build_sensor_context(instance=instance), **resources)


def test_an_empty_landing_zone_asks_for_nothing(instance, landing):
    assert isinstance(ask(sensors.ingest_new_files, instance, landing=landing), dg.SkipReason)
    assert isinstance(ask(sensors.collect_new_feedback, instance, landing=landing), dg.SkipReason)


def test_a_new_file_is_ingested_once(instance, landing, root):
    (root.landing_events / "a.csv").write_text(ONE)
    request = ask(sensors.ingest_new_files, instance, landing=landing)
    assert request.run_key.endswith("-0")
    assert ask(sensors.ingest_new_files, instance, landing=landing).run_key == request.run_key
    for asset, kind in (("raw_events", "events"), ("raw_items", "items")):
        materialised(instance, asset, landing_fingerprint=landing.fingerprint(kind))
    assert isinstance(ask(sensors.ingest_new_files, instance, landing=landing), dg.SkipReason)
    (root.landing_events / "b.csv").write_text(ONE)
    assert ask(sensors.ingest_new_files, instance, landing=landing).run_key != request.run_key


def test_an_unfinished_file_is_asked_for_again(instance, landing, root):
    (root.landing_events / "a.csv").write_text(ONE)
    materialised(instance, "raw_events", landing_fingerprint="incomplete")
    materialised(instance, "raw_items", landing_fingerprint=landing.fingerprint("items"))
    assert isinstance(ask(sensors.ingest_new_files, instance, landing=landing), dg.RunRequest)


def test_feedback_waits_for_the_first_lists(instance, landing, root):
    (root.landing_feedback / "f.csv").write_text("feedback_id\n")
    assert "wait" in ask(sensors.collect_new_feedback, instance, landing=landing).skip_message
    materialised(instance, "recommendations", **{"dagster/row_count": 5})
    assert isinstance(ask(sensors.collect_new_feedback, instance, landing=landing), dg.RunRequest)


def test_new_files_of_lists_are_collected_too(instance, landing, root):
    materialised(instance, "recommendations", **{"dagster/row_count": 5})
    (root.landing_feedback / "f.csv").write_text("feedback_id\n")
    read = landing.fingerprint("feedback")  # a store without the folder of lists
    materialised(instance, "feedback", landing_fingerprint=read)
    assert isinstance(ask(sensors.collect_new_feedback, instance, landing=landing), dg.SkipReason)
    root.landing_lists.mkdir()
    (root.landing_lists / "serve-1.jsonl").write_text("{}\n")
    assert isinstance(ask(sensors.collect_new_feedback, instance, landing=landing), dg.RunRequest)


LEARN = sensors.learn_from_new_data
KNOWN = 10_000


@pytest.fixture
def at_once(monkeypatch):
    """No cooldown and no pause after a failure."""
    monkeypatch.setattr(sensors, "RULES", replace(sensors.RULES, cooldowns={}))
    monkeypatch.setattr(history, "RETRY_SECONDS", 0)


@pytest.fixture
def trained(instance):
    """An instance after a training on 10,000 events and 3 items, whose model serves."""
    after_training(instance, KNOWN)
    return instance


def after_training(instance, through, **champion):
    materialised(instance, "raw_events", max_seq=through)
    materialised(instance, "raw_items", max_seq=3)
    materialised(instance, "item_encoder", trained_through=through)
    materialised(instance, "temporal_model", fresh_through=through)
    served = {"judged_through": through, "served": "gru-1", "kind": "model"}
    materialised(instance, "champion_model", **served | champion)
    listed(instance, through, 3)


def listed(instance, events, items):
    known = {"events_through": events, "items_through": items, "dagster/row_count": 5}
    materialised(instance, "recommendations", **known)


def more_events(instance, n, **measured):
    """Events come in after a training on 10,000, and drift is measured."""
    materialised(instance, "raw_events", max_seq=KNOWN + n)
    measured = {
        "judged_through": KNOWN,
        "champion": "gru-1",
        "answers": 0,
        "drifted": "",
    } | measured
    materialised(instance, "drift", **measured)


def ran(instance, request, status=dg.DagsterRunStatus.FAILURE, job=None):
    """A run as if the daemon had launched what was asked for."""
    name = job or request.job_name
    instance.add_run(dg.DagsterRun(job_name=name, status=status, tags=dict(request.tags)))


def test_nothing_is_learnt_before_the_first_event(instance):
    assert "nothing to do" in ask(LEARN, instance).skip_message
    materialised(instance, "raw_items", max_seq=3)
    assert "nothing to do" in ask(LEARN, instance).skip_message


def test_the_first_events_train_at_once(instance):
    materialised(instance, "raw_events", max_seq=6)
    request = ask(LEARN, instance)
    assert (request.job_name, request.run_key) == (
        "retrain_with_encoder",
        "retrain_with_encoder-6-0",
    )
    assert ask(LEARN, instance).run_key == request.run_key


@pytest.mark.parametrize(
    ("new", "measured", "job", "key"),
    [
        (1, {}, "refresh_lists", "refresh_lists-10001-3-0"),
        (999, {}, "refresh_lists", "refresh_lists-10999-3-0"),
        (1000, {}, "warm_start", "warm_start-11000-0"),
        (300, {"answers": 200}, "warm_start", "warm_start-10300-0"),
        (300, {"answers": 200, "judged_through": 9}, "refresh_lists", "refresh_lists-10300-3-0"),
        (2000, {}, "retrain", "retrain-12000-0"),
        (5000, {}, "retrain_with_encoder", "retrain_with_encoder-15000-0"),
        (9, {"drifted": "behavior_mix"}, "retrain", "retrain-10009-0"),
        (9, {"drifted": "item_texts"}, "retrain_with_encoder", "retrain_with_encoder-10009-0"),
        (9, {"drifted": "item_texts", "judged_through": 9}, "refresh_lists", None),
    ],
)
def test_new_events_ask_for_the_cheapest_work_that_is_enough(
    trained, at_once, new, measured, job, key
):
    assert isinstance(ask(LEARN, trained), dg.SkipReason)
    more_events(trained, new, **measured)
    request = ask(LEARN, trained)
    assert request.job_name == job
    assert ask(LEARN, trained).run_key == request.run_key == (key or request.run_key)
    assert f"{new} events" in request.tags["llmrec/why"]


def test_a_warm_start_is_asked_for_with_its_config(trained, at_once):
    more_events(trained, 1000)
    config = ask(LEARN, trained).run_config
    assert config["ops"]["temporal_model"]["config"] == {"start": "champion"}
    more_events(trained, 2000)
    assert ask(LEARN, trained).run_config == {}


def test_where_a_baseline_serves_there_is_nothing_to_start_from(instance, at_once):
    after_training(instance, KNOWN, kind="baseline", served="popularity")
    more_events(instance, 1000, champion="popularity")
    assert ask(LEARN, instance).job_name == "retrain"


def test_new_items_alone_ask_for_new_lists_once(trained, at_once):
    materialised(trained, "raw_items", max_seq=4)
    request = ask(LEARN, trained)
    assert (request.job_name, request.run_key) == ("refresh_lists", "refresh_lists-10000-4-0")
    listed(trained, KNOWN, 4)
    assert isinstance(ask(LEARN, trained), dg.SkipReason)


def test_lists_without_word_of_what_they_know_are_drawn_anew(trained, at_once):
    materialised(trained, "recommendations", **{"dagster/row_count": 5})
    assert ask(LEARN, trained).job_name == "refresh_lists"


def test_a_cooldown_is_waited_for_and_told(trained):
    more_events(trained, 1000)
    message = ask(LEARN, trained).skip_message
    assert "refresh_lists waits 10 min" in message
    assert "warm_start waits 60 min: 1000 new events" in message
    assert "1000 events (1000 needed)" in message
    assert "cooldown left: refresh_lists 10 min, warm_start 60 min" in message


@pytest.mark.parametrize("job", ["retrain", "full_loop"])
def test_the_cooldown_of_a_retraining_begins_with_the_last_that_succeeded(
    trained, at_once, monkeypatch, job
):
    monkeypatch.setattr(sensors, "RULES", replace(sensors.RULES, cooldowns={"retrain": 1000}))
    more_events(trained, 9, drifted="behavior_mix")
    assert ask(LEARN, trained).job_name == "retrain"
    trained.add_run(dg.DagsterRun(job_name=job, run_id=dg.DagsterRun("x").run_id))
    (run,) = trained.get_runs()
    for event in (dg.DagsterEventType.RUN_START, dg.DagsterEventType.RUN_SUCCESS):
        trained.report_dagster_event(dg.DagsterEvent(event.value, job), run.run_id)
    request = ask(LEARN, trained)
    assert request.job_name == "warm_start"
    assert "retrain waits 17 min: drift of behavior_mix" in request.tags["llmrec/why"]


def test_the_numbers_lie_in_the_cursor(trained):
    more_events(trained, 12, answers=5, drifted="behavior_mix")
    with dg.build_sensor_context(instance=trained) as context:
        LEARN(context)
        seen = json.loads(context.cursor)
    assert (seen["events"], seen["judged"], seen["answers"]) == (KNOWN + 12, KNOWN, 5)
    assert seen["drifted"] == ["behavior_mix"]


@pytest.mark.parametrize("job", [job.name for job in (*jobs.WORKS, jobs.full_loop)])
def test_a_run_in_flight_is_waited_for(trained, at_once, job):
    more_events(trained, 1000)
    trained.add_run(dg.DagsterRun(job_name=job, status=dg.DagsterRunStatus.STARTED))
    assert "in flight" in ask(LEARN, trained).skip_message


def test_a_failed_work_is_tried_three_times_then_a_cheaper_one_then_given_up(trained, at_once):
    more_events(trained, 1000)
    keys = []
    while isinstance(request := ask(LEARN, trained), dg.RunRequest):
        keys.append(request.run_key)
        ran(trained, request)
    assert keys == [
        *(f"warm_start-11000-{n}" for n in range(3)),
        *(f"refresh_lists-11000-3-{n}" for n in range(3)),
    ]
    assert "warm_start was given up after 3 failed runs" in request.skip_message
    more_events(trained, 1001)
    assert ask(LEARN, trained).run_key == "warm_start-11001-0"


def test_a_failed_run_is_not_tried_again_at_once_whatever_comes_in(trained, monkeypatch):
    monkeypatch.setattr(sensors, "RULES", replace(sensors.RULES, cooldowns={}))
    more_events(trained, 1000)
    ran(trained, ask(LEARN, trained))
    assert ask(LEARN, trained).job_name == "refresh_lists"
    more_events(trained, 1001)
    request = ask(LEARN, trained)
    assert request.job_name == "refresh_lists"
    assert re.search(r"warm_start waits \d+ s: 1001 new events", request.tags["llmrec/why"])


def test_a_failed_ingestion_is_given_up_after_three(instance, landing, root, monkeypatch):
    monkeypatch.setattr(history, "RETRY_SECONDS", 0)
    (root.landing_events / "a.csv").write_text(ONE)
    keys = []
    while isinstance(
        request := ask(sensors.ingest_new_files, instance, landing=landing), dg.RunRequest
    ):
        keys.append(request.run_key)
        ran(instance, request)
    assert [key[-2:] for key in keys] == ["-0", "-1", "-2"]
    assert "gave up" in request.skip_message


@pytest.fixture
def night(landing):
    """An instance, and what the schedule asks of it in one night."""
    at = datetime(2026, 1, 2, 3, tzinfo=UTC)
    with dg.instance_for_test() as instance:

        def asked():
            with dg.build_schedule_context(
                instance=instance, scheduled_execution_time=at, resources={"landing": landing}
            ) as context:
                return schedules.daily_loop(context)

        yield instance, asked


def test_the_night_is_quiet_without_anything_new(night):
    instance, asked = night
    assert isinstance(asked(), dg.SkipReason)
    materialised(instance, "raw_events", max_seq=6)
    assert asked().run_key == "2026-01-02"
    materialised(instance, "champion_model", judged_through=6)
    assert isinstance(asked(), dg.SkipReason)


def test_items_are_a_reason_for_the_night_until_a_model_and_lists_know_them(night, landing, root):
    instance, asked = night
    (root.landing_items / "a.csv").write_text("item_id\n1\n")
    assert isinstance(asked(), dg.SkipReason)  # nothing to learn from items alone
    materialised(instance, "raw_events", max_seq=6)
    materialised(instance, "champion_model", judged_through=6)
    assert isinstance(asked(), dg.RunRequest)
    known = landing.fingerprint("items")
    materialised(instance, "raw_items", max_seq=1, landing_fingerprint=known)
    materialised(instance, "recommendations", items_through=1)
    assert isinstance(asked(), dg.RunRequest)
    materialised(instance, "temporal_model", items_through=1)
    assert isinstance(asked(), dg.SkipReason)


def test_the_night_forgets_only_where_a_limit_is_set(night, monkeypatch):
    instance, _ = night
    at = datetime(2026, 1, 2, 2, tzinfo=UTC)

    def asked():
        with dg.build_schedule_context(instance=instance, scheduled_execution_time=at) as context:
            return schedules.daily_expiry(context)

    materialised(instance, "recommendations", **{"dagster/row_count": 9})
    assert "LLMREC_RETENTION_DAYS is 0" in asked().skip_message
    monkeypatch.setattr(schedules, "RETENTION_DAYS", 30)
    assert asked().run_key == "2026-01-02"
    instance.add_run(dg.DagsterRun(job_name="warm_start", status=dg.DagsterRunStatus.STARTED))
    assert asked().run_key == "2026-01-02", "a run that forgets nothing does not stand for it"
    instance.add_run(dg.DagsterRun(job_name="full_loop", status=dg.DagsterRunStatus.STARTED))
    assert "forgets too" in asked().skip_message


def test_every_job_has_a_time_limit():
    assert all(dg.MAX_RUNTIME_SECONDS_TAG in job.tags for job in jobs.ALL)
