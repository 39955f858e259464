"""The faults: each is planted while the service works, and ends when its cause is gone."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.request import Request, urlopen

import dagster as dg

from llmrec_assets_tests.faults.service import NotRecovered, Service
from llmrec_assets_tests.faults.traffic import Traffic, drop

START_LIMIT = 90  # seconds until a step that new data leads to has started
FOUND_WITHIN = 60  # seconds in which a run that was killed must be known to have failed
RESTART_AFTER = 2  # seconds until the supervisor starts a killed part again


@dataclass
class Planted:
    """What a fault did."""

    run_id: str | None = None
    found_after: float | None = None  # seconds from the kill to the run's failure


Fault = Callable[[Service, Traffic, str], Planted]


def kill_run(service: Service, traffic: Traffic, asset: str) -> Planted:
    """The run is killed at `asset`."""
    run_id = _arrive(service, traffic, asset)
    service.kill_run(run_id)
    return _found(service, run_id)


def kill_daemon(service: Service, traffic: Traffic, asset: str) -> Planted:
    """The daemon is killed while a run is at `asset`; a supervisor starts it again."""
    run_id = _arrive(service, traffic, asset)
    service.kill_daemon()
    time.sleep(RESTART_AFTER)
    service.start()
    return Planted(run_id)


def kill_everything(service: Service, traffic: Traffic, asset: str) -> Planted:
    """Daemon, webserver, code servers and the run are killed at `asset`, and started again."""
    run_id = _arrive(service, traffic, asset)
    service.kill_everything()
    time.sleep(RESTART_AFTER)
    service.start()
    return _found(service, run_id)


def launch_twice(service: Service, traffic: Traffic, asset: str) -> Planted:
    """A person launches the whole loop twice, while the sensors ask for the same work."""
    _drop(service, traffic)
    for _ in range(2):
        _launch(service, "full_loop")
    return Planted(_wait_for(service, asset, time.time() - 1))


def deliver_twice(service: Service, traffic: Traffic, asset: str) -> Planted:
    """Feedback comes twice under two names, as does the file of events."""
    lines = traffic.answers()
    traffic.drop_feedback(lines)
    traffic.drop_feedback(lines, "again")
    traffic.drop_feedback(lines[::-1], "reversed")
    _copy_events(service, traffic)
    return Planted(_wait_for(service, asset, time.time() - 1))


def truncated(service: Service, traffic: Traffic, asset: str) -> Planted:
    """A file of feedback ends in the middle of a row; the whole one comes later."""
    lines = traffic.answers()
    text = "\n".join(lines)
    drop(
        service.layout.landing_feedback / f"cut-{traffic.batches:04}.jsonl", text[: len(text) // 2]
    )
    traffic.drop_events()
    run_id = _wait_for(service, asset, time.time() - 1)
    traffic.drop_feedback(lines)
    return Planted(run_id)


def arrive_during_work(service: Service, traffic: Traffic, asset: str) -> Planted:
    """Events and feedback come while a run is at `asset`."""
    run_id = _arrive(service, traffic, asset)
    _drop(service, traffic)
    return Planted(run_id)


def clock_steps_back(service: Service, traffic: Traffic, asset: str) -> Planted:
    """The clock steps back by an hour while a run is at `asset`, and forth again."""
    if service.clock is None:
        raise ValueError("the service was started without a clock that can be set")
    run_id = _arrive(service, traffic, asset)
    drop(service.clock, "-3600")
    traffic.drop_events()
    time.sleep(20)
    drop(service.clock, "+0")
    return Planted(run_id)


FAULTS: dict[str, Fault] = {
    fault.__name__: fault
    for fault in (
        kill_run,
        kill_daemon,
        kill_everything,
        launch_twice,
        deliver_twice,
        truncated,
        arrive_during_work,
        clock_steps_back,
    )
}


def _drop(service: Service, traffic: Traffic) -> None:
    """New events, and feedback where there are lists to answer."""
    if service.layout.recommendations.is_file():
        traffic.drop_feedback(traffic.answers())
    traffic.drop_events()


def _arrive(service: Service, traffic: Traffic, asset: str) -> str:
    """New data comes; the run that is at `asset` because of it."""
    since = time.time()
    _drop(service, traffic)
    return _wait_for(service, asset, since)


def _wait_for(service: Service, asset: str, since: float) -> str:
    return service.wait(f"a run at {asset}", lambda: service.run_at(asset, since), START_LIMIT)


def _found(service: Service, run_id: str) -> Planted:
    """Wait until the killed run is known to have failed."""
    killed = time.monotonic()

    def failed() -> bool:
        run = service.instance.get_run_by_id(run_id)
        return run is not None and run.status == dg.DagsterRunStatus.FAILURE

    service.wait(f"the failure of the killed run {run_id}", failed, FOUND_WITHIN)
    return Planted(run_id, time.monotonic() - killed)


def _copy_events(service: Service, traffic: Traffic) -> None:
    traffic.drop_events()
    newest = max(service.layout.landing_events.glob("events-*.csv"))
    drop(newest.with_name(f"copy-of-{newest.name}"), newest.read_text(encoding="utf-8"))


LAUNCH = """
mutation Launch($job: String!, $repository: String!, $location: String!) {
  launchRun(executionParams: {mode: "default", runConfigData: {}, selector: {
    jobName: $job, repositoryName: $repository, repositoryLocationName: $location
  }}) { __typename ... on PythonError { message } }
}
"""
LOCATIONS = (
    "{ repositoriesOrError { ... on RepositoryConnection { nodes { name location { name } } } } }"
)


def _launch(service: Service, job: str) -> None:
    """Launch a job as the button in the UI does."""
    nodes = service.wait("the webserver", lambda: _locations(service), START_LIMIT)
    names = {"job": job, "repository": nodes[0]["name"], "location": nodes[0]["location"]["name"]}
    answer = _ask(service, LAUNCH, names)["data"]["launchRun"]
    if answer["__typename"] != "LaunchRunSuccess":
        raise NotRecovered(f"{job} could not be launched: {answer}")


def _locations(service: Service) -> list[dict]:
    try:
        return _ask(service, LOCATIONS, {})["data"]["repositoriesOrError"]["nodes"]
    except OSError:  # it has not started yet
        return []


def _ask(service: Service, query: str, variables: dict) -> dict:
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = Request(
        f"http://127.0.0.1:{service.port}/graphql", body, {"Content-Type": "application/json"}
    )
    with urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())
