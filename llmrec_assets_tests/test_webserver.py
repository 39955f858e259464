"""What Dagster's own programs show of the project: the graph, what launches it, a clean folder."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

import llmrec_assets
from llmrec_assets.instance import prepare
from llmrec_assets_tests.test_loop import process_group

REPOSITORY = Path(llmrec_assets.__path__[0]).parent

QUERY = """
{ repositoriesOrError { __typename ... on RepositoryConnection { nodes {
    assetNodes {
        assetKey { path } groupName description isMaterializable dependencyKeys { path }
    }
    jobs { name description }
    sensors { name sensorState { status } targets { pipelineName } }
    schedules { name pipelineName cronSchedule scheduleState { status } }
} } } }
"""

# Asset → (stage, assets it is made from).
GRAPH = {
    "raw_events": ("s1_raw_events", {"event_log"}),
    "raw_items": ("s1_raw_events", {"item_log"}),
    "rejected_events": ("s1_raw_events", {"raw_events", "raw_items"}),
    "expiries": ("s1_raw_events", {"raw_events", "rejected_events"}),
    "clean_events": ("s2_sequences", {"expiries", "raw_events", "rejected_events"}),
    "user_sequences": ("s2_sequences", {"clean_events", "raw_events", "raw_items"}),
    "item_encoder": ("s3_embeddings", {"clean_events", "user_sequences"}),
    "text_features": ("s3_embeddings", {"item_encoder", "user_sequences"}),
    "temporal_features": ("s4_features", {"clean_events"}),
    "fused_features": ("s4_features", {"clean_events", "temporal_features", "text_features"}),
    "temporal_model": ("s5_model", {"fused_features", "item_encoder"}),
    "model_evaluation": ("s5_model", {"temporal_model", "fused_features"}),
    "champion_model": ("s5_model", {"model_evaluation"}),
    "recommendations": ("s6_recommendations", {"champion_model", "fused_features"}),
    "feedback": ("s7_feedback", {"feedback_log", "recommendations"}),
    "text_ablation": ("studies", {"fused_features", "item_encoder"}),
    "loop_utility": ("studies", set()),
    "drift": ("monitoring", {"raw_events", "text_features", "champion_model", "feedback"}),
}
EXTERNAL = {
    "event_log": "s1_raw_events",
    "item_log": "s1_raw_events",
    "feedback_log": "s7_feedback",
}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(port, query):
    body = json.dumps({"query": query}).encode()
    request = Request(
        f"http://127.0.0.1:{port}/graphql", body, {"Content-Type": "application/json"}
    )
    with urlopen(request, timeout=30) as answer:
        return json.load(answer)["data"]


def ask_when_ready(server, port, query, log, seconds=60):
    """The first answer of a server that starts."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return ask(port, query)
        except URLError:
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.fail("no answer of dagster-webserver:\n" + log.read_text()[-4000:])
            time.sleep(0.2)


def test_the_webserver_shows_the_whole_graph_and_what_launches_it(root, tmp_path, monkeypatch):
    for name in ("DAGSTER_HOME", "LLMREC_DATA_DIR"):
        monkeypatch.setenv(name, "")  # so that what prepare sets is undone
    prepare(root)
    port, log = free_port(), tmp_path / "webserver.log"
    command = [sys.executable, "-m", "dagster_webserver", "-m", "llmrec_assets.definitions"]
    command += ["-h", "127.0.0.1", "-p", str(port)]
    with process_group(command, log, cwd=tmp_path) as server:
        found = ask_when_ready(server, port, QUERY, log)["repositoriesOrError"]
    assert found["__typename"] == "RepositoryConnection", found
    (shown,) = found["nodes"]

    nodes = {node["assetKey"]["path"][-1]: node for node in shown["assetNodes"]}
    assert {
        name: (node["groupName"], {key["path"][-1] for key in node["dependencyKeys"]})
        for name, node in nodes.items()
        if node["isMaterializable"]
    } == GRAPH
    assert {
        name: node["groupName"] for name, node in nodes.items() if not node["isMaterializable"]
    } == EXTERNAL
    assert all(node["description"] for node in nodes.values())

    jobs = {job["name"]: job["description"] for job in shown["jobs"]}
    works = {"refresh_lists", "warm_start", "retrain", "retrain_with_encoder"}
    launched = works | {"ingest", "collect_feedback", "full_loop", "expire"}
    launched |= {"rollback", "approve", "study_texts", "simulate_cycles"}
    assert set(jobs) - {"__ASSET_JOB"} == launched
    assert all(text for name, text in jobs.items() if name != "__ASSET_JOB")
    assert {
        sensor["name"]: ({target["pipelineName"] for target in sensor["targets"]}, state(sensor))
        for sensor in shown["sensors"]
    } == {
        "ingest_new_files": ({"ingest"}, "RUNNING"),
        "collect_new_feedback": ({"collect_feedback"}, "RUNNING"),
        "learn_from_new_data": (works, "RUNNING"),
        "say_what_to_do_on_failure": (set(), "RUNNING"),
    }
    assert {
        (schedule["name"], schedule["pipelineName"], schedule["scheduleState"]["status"])
        for schedule in shown["schedules"]
    } == {("daily_loop", "full_loop", "RUNNING"), ("daily_expiry", "expire", "RUNNING")}


def state(sensor):
    return sensor["sensorState"]["status"]


def test_dagster_in_the_repository_keeps_its_state_below_the_default_root(tmp_path):
    for name in ("workspace.yaml", "dagster.yaml"):
        shutil.copy(REPOSITORY / name, tmp_path)
    unset = {"DAGSTER_HOME", "LLMREC_DATA_DIR"}
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    command = [sys.executable, "-m", "dagster", "definitions", "validate"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "llmrec" in done.stdout + done.stderr
    assert {path.name for path in tmp_path.iterdir()} <= {"workspace.yaml", "dagster.yaml", "data"}
    assert {path.name for path in (tmp_path / "data").glob("*")} <= {"dagster"}
