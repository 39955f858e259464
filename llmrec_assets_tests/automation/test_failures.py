"""A failed run is told with its remedy to a real server, without what rows or secrets hold."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import dagster as dg
import pytest

from llmrec_assets.automation.failures import COMMAND_TAG, say_what_to_do_on_failure
from llmrec_assets.instance import COMMAND_TAG as TAG_OF_COMMANDS
from llmrec_assets.resources import alerts
from llmrec_assets.resources.warehouse import WarehouseBusy


@pytest.fixture
def server(monkeypatch):
    """(received bodies, codes to answer with first) of a server that LLMREC_ALERT_URL names."""
    received, codes = [], []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((self.path, self.headers["Content-Type"], json.loads(body)))
            self.send_response(codes.pop(0) if codes else 204)
            self.end_headers()

        def log_message(self, *_):
            """Say nothing."""

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    monkeypatch.setenv("LLMREC_ALERT_URL", f"http://127.0.0.1:{listening.server_port}/?token=s3")
    monkeypatch.setattr(alerts, "_PAUSE", 0)
    yield received, codes
    listening.shutdown()
    thread.join()
    listening.server_close()


@dg.op
def busy():
    try:
        raise OSError("Permission denied: user u-secret-7")
    except OSError as error:
        raise WarehouseBusy("held while user u-secret-7 was written") from error


@dg.op
def full():
    raise OSError(28, "No space left on device", "/data/u-secret-7")


@dg.op
def odd():
    raise ZeroDivisionError("u-secret-7")


@dg.job(name="nightly")
def failing():
    busy()
    full()
    odd()


def look(tags=None):
    """Fail a run, and have the sensor look at it."""
    with dg.DagsterInstance.ephemeral() as instance:
        result = failing.execute_in_process(instance=instance, raise_on_error=False, tags=tags)
        event = result.get_run_failure_event()
        context = dg.build_run_status_sensor_context(
            sensor_name="failures",
            dagster_event=event,
            dagster_instance=instance,
            dagster_run=result.dagster_run,
        ).for_run_failure()
        return result.run_id, say_what_to_do_on_failure(context)


def test_every_failed_step_is_told_with_its_remedy_and_nothing_of_its_message(server):
    run_id, _ = look()
    ((path, kind, told),) = server[0]
    assert (path, kind) == ("/?token=s3", "application/json")
    assert (told["run_id"], told["job"]) == (run_id, "nightly")
    assert told["page"] == f"http://127.0.0.1:3000/runs/{run_id}"
    failed = {one["step"]: (one["error"], one["remedy"]) for one in told["failed"]}
    assert failed["busy"][0] == "WarehouseBusy"
    assert "close the program that holds the DuckDB file" in failed["busy"][1]
    assert failed["full"][0] == "OSError"
    assert "make room on the disk" in failed["full"][1]
    assert failed["odd"] == ("ZeroDivisionError", alerts._UNKNOWN)
    assert "u-secret-7" not in json.dumps(told)


def test_a_command_tells_of_its_own_runs(server):
    assert COMMAND_TAG == TAG_OF_COMMANDS
    _, skipped = look(tags={COMMAND_TAG: "true"})
    assert isinstance(skipped, dg.SkipReason)
    assert server[0] == []


def test_a_run_whose_process_was_killed_is_told_too():
    (told,) = alerts.alert_of("r", "retrain", []).failed
    assert told.step == "run"
    assert "run again" in told.remedy


def test_a_server_that_stumbles_is_asked_again_and_one_that_refuses_is_not(server):
    received, codes = server
    alert = alerts.alert_of("r", "retrain", [])
    codes += [503]
    assert alerts.send(alert) == "LLMREC_ALERT_URL was told"
    assert len(received) == 2
    codes += [403]
    assert alerts.send(alert) == "LLMREC_ALERT_URL answered 403: nobody was told"
    assert len(received) == 3


def test_no_address_a_wrong_one_and_a_silent_one_fail_no_run(monkeypatch):
    monkeypatch.setattr(alerts, "_PAUSE", 0)
    alert = alerts.alert_of("r", "retrain", [])
    for url in ("", "file:///etc/passwd", "http://127.0.0.1:9/"):
        monkeypatch.setenv("LLMREC_ALERT_URL", url)
        said = alerts.send(alert)
        assert said.endswith("nobody was told")
        assert "127.0.0.1" not in said
