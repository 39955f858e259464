"""Sensors through their contexts: what they ask for, when they wait and when they give up."""

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


def test_the_first_events_train_and_then_only_enough_new_ones(instance):
    assert isinstance(ask(sensors.retrain_on_new_events, instance), dg.SkipReason)
    materialised(instance, "raw_events", max_seq=6)
    assert ask(sensors.retrain_on_new_events, instance).run_key == "6-0"
    materialised(instance, "champion_model", judged_through=6)
    materialised(instance, "raw_events", max_seq=6 + sensors.MIN_NEW_EVENTS - 1)
    assert isinstance(ask(sensors.retrain_on_new_events, instance), dg.SkipReason)
    materialised(instance, "raw_events", max_seq=6 + sensors.MIN_NEW_EVENTS)
    assert isinstance(ask(sensors.retrain_on_new_events, instance), dg.RunRequest)


def test_new_items_alone_ask_for_new_lists_once(instance):
    assert isinstance(ask(sensors.refresh_on_new_items, instance), dg.SkipReason)
    materialised(instance, "raw_items", max_seq=3)
    assert "wait" in ask(sensors.refresh_on_new_items, instance).skip_message
    materialised(instance, "recommendations", items_through=3, **{"dagster/row_count": 5})
    assert "no item" in ask(sensors.refresh_on_new_items, instance).skip_message
    materialised(instance, "raw_items", max_seq=4)
    request = ask(sensors.refresh_on_new_items, instance)
    assert request.run_key == "4-0"
    assert ask(sensors.refresh_on_new_items, instance).run_key == request.run_key
    materialised(instance, "recommendations", items_through=4, **{"dagster/row_count": 5})
    assert isinstance(ask(sensors.refresh_on_new_items, instance), dg.SkipReason)


def test_lists_without_word_of_items_are_drawn_anew(instance):
    materialised(instance, "recommendations", **{"dagster/row_count": 5})
    materialised(instance, "raw_items", max_seq=3)
    assert isinstance(ask(sensors.refresh_on_new_items, instance), dg.RunRequest)


@pytest.mark.parametrize(
    ("sensor", "job"),
    [
        (sensors.retrain_on_new_events, "retrain"),
        (sensors.retrain_on_new_events, "full_loop"),
        (sensors.refresh_on_new_items, "refresh_lists"),
        (sensors.refresh_on_new_items, "retrain"),
        (sensors.refresh_on_new_items, "full_loop"),
    ],
)
def test_a_run_in_flight_is_waited_for(instance, sensor, job):
    materialised(instance, "raw_events", max_seq=6)
    materialised(instance, "raw_items", max_seq=6)
    materialised(instance, "recommendations", **{"dagster/row_count": 5})
    instance.add_run(dg.DagsterRun(job_name=job, status=dg.DagsterRunStatus.STARTED))
    assert "in flight" in ask(sensor, instance).skip_message


def test_a_failed_run_is_tried_again_and_then_given_up(instance, monkeypatch):
    monkeypatch.setattr(history, "RETRY_SECONDS", 0)
    materialised(instance, "raw_events", max_seq=6)
    keys = []
    while isinstance(request := ask(sensors.retrain_on_new_events, instance), dg.RunRequest):
        keys.append(request.run_key)
        status = dg.DagsterRunStatus.FAILURE
        instance.add_run(dg.DagsterRun(job_name="retrain", status=status, tags=dict(request.tags)))
    assert keys == ["6-0", "6-1", "6-2"]
    assert "gave up" in request.skip_message


def test_a_failed_run_is_not_tried_again_at_once(instance):
    materialised(instance, "raw_events", max_seq=6)
    request = ask(sensors.retrain_on_new_events, instance)
    status = dg.DagsterRunStatus.FAILURE
    instance.add_run(dg.DagsterRun(job_name="retrain", status=status, tags=dict(request.tags)))
    assert "s ago" in ask(sensors.retrain_on_new_events, instance).skip_message


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


def test_every_job_has_a_time_limit():
    assert all(dg.MAX_RUNTIME_SECONDS_TAG in job.tags for job in jobs.ALL)
