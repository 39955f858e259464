"""SIGKILL at any point: the next command ends as if nothing had happened."""

import json
import multiprocessing
import os
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import duckdb
import pandas as pd
import pytest

from llmrec_assets.automation.history import in_flight
from llmrec_assets.instance import COMMAND_TAG, exclusive
from llmrec_assets.layout import Layout
from llmrec_assets.resources.registry import Registry
from llmrec_assets.resources.warehouse import Warehouse

# Where in a step the kills fall, as shares of the time that the undisturbed step took.
KILLS = {
    "raw_events": [0.4],
    "raw_items": [0.6],
    "rejected_events": [0.3],
    "expiries": [0.5],
    "clean_events": [0.5],
    "temporal_features": [0.7],
    "user_sequences": [0.4],
    "item_encoder": [0.5],
    "text_features": [0.3, 0.8],
    "fused_features": [0.5],
    "temporal_model": [0.3, 0.7],
    "model_evaluation": [0.5],
    "champion_model": [0.6],
    "recommendations": [0.5],
    "feedback": [0.4, 0.7],
    "drift": [0.5],
}
SETTINGS = {"LLMREC_ENCODER": "bag_of_words", "LLMREC_MAX_EPOCHS": "2", "LLMREC_TOP_K": "5"}
START = datetime(2024, 3, 1, tzinfo=UTC)
RETURNED = {"f2", "f3", "f4"}  # two are positive, one hides its item
# Every table in which a row is a fact about the data; columns that tell the time are left out.
TABLES = {
    "s1_raw_events.raw_events": "* exclude (ingested_at)",
    "s1_raw_events.raw_items": "*",
    "s1_raw_events.rejected_events": "* exclude (rejected_at)",
    "s1_raw_events.files": "* exclude (ingested_at)",
    "s2_sequences.clean_events": "*",
    "s2_sequences.user_sequences": "*",
    "s2_sequences.removed_events": "*",
    "s3_embeddings.text_features": "*",
    "s3_embeddings.matrices": "*",
    "s4_features.temporal_features": "*",
    "s4_features.fused_features": "*",
    "s5_model.temporal_model": "* exclude (trained_at)",
    "s5_model.model_evaluation": "*",
    "s5_model.model_evaluation_slices": "*",
    "s5_model.model_evaluation_intervals": "*",
    "s5_model.model_evaluation_guarded": "*",
    "s5_model.off_policy_estimates": "*",
    "s5_model.champion_model": "* exclude (decided_at)",
    "s5_model.gate_evidence": "*",
    "s6_recommendations.recommendations": "* exclude (generated_at)",
    "s7_feedback.feedback": "* exclude (returned_in)",
    "s7_feedback.response_rates": "*",
    "s7_feedback.files": "* exclude (ingested_at)",
    "monitoring.drift": "* exclude (measured_at)",
}

# Imported once, in the process that the commands are forked off: they take most of a command.
SLOW_IMPORTS = [
    "dagster",
    "duckdb",
    "matplotlib.pyplot",
    "mlflow.artifacts",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "pandas",
    "pytest",
    "sklearn.feature_extraction.text",
    "torch._dynamo",
]


@pytest.fixture(scope="module")
def processes():
    """Makes real processes, forked off a server that has run nothing but imports."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(SLOW_IMPORTS)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("OMP_NUM_THREADS", "1")  # threads that spin cost more than they bring
        yield context


def run_command(root: str, output: str) -> None:
    """`llmrec run`, in a process group of its own and with its output in a file."""
    os.setsid()
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.environ.update(SETTINGS, LLMREC_DATA_DIR=root)
    from llmrec_assets.cli import main

    main(["run"])


class Store:
    """A data root, and commands on it."""

    def __init__(self, root: Path, processes) -> None:
        self.layout, self.processes = Layout(root), processes
        self.output = root.with_suffix(".txt")
        write_landing(self.layout)

    def run(self) -> str:
        """An undisturbed command: what it said."""
        command = self._start()
        command.join(120)
        said = self.output.read_text(encoding="utf-8")
        assert command.exitcode == 0, said
        return said

    def run_killed(self, step: str, seconds: float) -> None:
        """A command that is killed so long after the step has started, or when the step ends."""
        command = self._start()
        deadline = time.monotonic() + 120
        while f"  {step} …\n" not in (said := self._said()):
            assert command.is_alive() and time.monotonic() < deadline, said
            time.sleep(0.005)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and step not in durations(self._said()):
            time.sleep(0.005)
        os.killpg(command.pid, signal.SIGKILL)
        command.join(10)
        assert command.exitcode == -signal.SIGKILL, self._said()

    def rows(self, table: str, columns: str = "*") -> pd.DataFrame:
        return Warehouse(path=str(self.layout.warehouse)).read(
            f"select {columns} from {table} order by all"
        )

    def runs(self) -> list[dg.DagsterRunStatus]:
        with dg.DagsterInstance.from_config(str(self.layout.dagster_home)) as instance:
            return [run.status for run in instance.get_runs()]

    def pool_slots_taken(self) -> int:
        with dg.DagsterInstance.from_config(str(self.layout.dagster_home)) as instance:
            log = instance.event_log_storage
            return sum(
                len(log.get_concurrency_info(key).claimed_slots)
                for key in log.get_concurrency_keys()
            )

    def hidden_files(self) -> list[str]:
        found = self.layout.root.rglob(".*")
        return sorted(path.name for path in found if not path.name.endswith(".lock"))

    def _start(self):
        self.output.write_text("")
        arguments = (str(self.layout.root), str(self.output))
        command = self.processes.Process(target=run_command, args=arguments)
        command.start()
        return command

    def _said(self) -> str:
        return self.output.read_text(encoding="utf-8", errors="replace")


def write_landing(layout: Layout) -> None:
    """40 users go round 25 items in order, so a wrong row anywhere changes every later number."""
    events = ["user_id,item_id,timestamp,behavior", "u00,,2024-03-01T00:00:00Z,buy"]
    for user in range(40):
        for step in range(12):
            at = START + timedelta(hours=user + 7 * step)
            item = (7 * user + step * (1 + user % 3)) % 25
            behavior = "browse" if step % 3 else "buy"
            events.append(f"u{user:02d},i{item:02d},{at.isoformat()},{behavior}")
    items = [f"i{item:02d},thing {item % 5} of kind {item}" for item in range(25)]
    feedback = [
        {"feedback_id": "f1", "item_id": "i03", "response": "impression"},
        {"feedback_id": "f2", "item_id": "i03", "response": "click"},
        {"feedback_id": "f3", "item_id": "i05", "response": "buy"},
        {"feedback_id": "f4", "item_id": "i07", "response": "not_interested"},
    ]
    common = {"user_id": "u01", "timestamp": (START + timedelta(days=9)).isoformat()}
    files = {
        layout.landing_events / "events.csv": events,
        layout.landing_items / "items.csv": ["item_id,title", *items],
        layout.landing_feedback / "feedback.jsonl": [json.dumps(r | common) for r in feedback],
    }
    for path, lines in files.items():
        path.parent.mkdir(parents=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def durations(said: str) -> dict[str, float]:
    """Step → seconds, from what an undisturbed command said."""
    found, step = {}, ""
    for line in said.splitlines():
        if line.endswith(" …"):
            step = line.split()[0]
        elif line.startswith("    done in "):
            found[step] = float(line.split()[2])
    return found


def published(store: Store) -> pd.DataFrame:
    lists = pd.read_parquet(store.layout.recommendations).drop(columns="generated_at")
    return lists.sort_values(["user_id", "rank"]).reset_index(drop=True)


def test_commands_killed_in_every_step_leave_a_store_that_ends_like_an_undisturbed_one(
    tmp_path, processes
):
    calm = Store(tmp_path / "calm", processes)
    took = durations(calm.run())
    assert set(took) == set(KILLS)
    calm.run()  # it takes in the responses that the first command returned

    killed = Store(tmp_path / "killed", processes)
    for step, shares in KILLS.items():
        for share in shares:
            killed.run_killed(step, share * took[step])
    killed.run()
    killed.run()

    for table, columns in TABLES.items():
        pd.testing.assert_frame_equal(
            killed.rows(table, columns), calm.rows(table, columns), rtol=1e-6, obj=table
        )
    pd.testing.assert_frame_equal(published(killed), published(calm), rtol=1e-6)
    assert len(calm.rows("s5_model.temporal_model")) == 2

    events = killed.rows("s1_raw_events.raw_events")
    returned = events[events["event_id"].str.startswith("feedback:")]
    assert sorted(returned["event_id"]) == sorted(f"feedback:{name}" for name in RETURNED)
    assert list(events["seq"].sort_values()) == list(range(1, len(events) + 1))

    attempts = sum(map(len, KILLS.values()))
    assert killed.runs().count(dg.DagsterRunStatus.FAILURE) == attempts
    assert killed.runs().count(dg.DagsterRunStatus.SUCCESS) == len(killed.runs()) - attempts == 2
    assert killed.pool_slots_taken() == 0
    assert killed.hidden_files() == calm.hidden_files()


def test_a_kill_while_mlflow_migrates_its_tables_is_mended_by_the_next_contact(tmp_path, processes):
    for target, exit_code in ((ask_registry_and_die, -signal.SIGKILL), (ask_registry, 0)):
        command = processes.Process(target=target, args=(tmp_path,))
        command.start()
        command.join(60)
        assert command.exitcode == exit_code


def ask_registry(root: Path) -> None:
    registry = Registry(database=str(root / "mlflow.db"), artifacts=str(root / "mlartifacts"))
    assert registry.alias("champion") is None


def ask_registry_and_die(root: Path) -> None:
    """Be killed when a migration has changed the tables and is not yet noted as done."""
    from alembic.runtime.migration import HeadMaintainer

    note, done = HeadMaintainer.update_to_step, []

    def die_at_the_tenth(*arguments):
        done.append(arguments)
        if len(done) == 10:
            os.kill(os.getpid(), signal.SIGKILL)
        note(*arguments)

    HeadMaintainer.update_to_step = die_at_the_tenth
    ask_registry(root)


def test_a_duckdb_file_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "warehouse.duckdb"

    def killed(*_):
        raise KeyboardInterrupt  # nothing after this line happens, as with a kill

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt), Warehouse(path=str(path)).connect():
            pass
    assert not path.exists()
    (tmp_path / ".warehouse.duckdb.new").write_bytes(b"half a header")
    assert Warehouse(path=str(path)).read("select 1 as one")["one"][0] == 1
    with duckdb.connect(str(path), read_only=True) as connection:
        assert connection.execute("select 1").fetchall() == [(1,)]


@pytest.mark.parametrize(
    "status",
    [
        dg.DagsterRunStatus.NOT_STARTED,
        dg.DagsterRunStatus.STARTING,
        dg.DagsterRunStatus.STARTED,
        dg.DagsterRunStatus.CANCELING,
    ],
)
def test_the_run_of_a_killed_command_blocks_no_sensor_after_the_next_one(root, monkeypatch, status):
    for name in ("DAGSTER_HOME", "LLMREC_DATA_DIR"):
        monkeypatch.setenv(name, "")  # so that what a command sets is undone
    with exclusive(root) as instance:
        instance.add_run(dg.DagsterRun("full_loop", status=status, tags={COMMAND_TAG: "true"}))
        assert in_flight(instance, "full_loop")
    with exclusive(root) as instance:
        assert not in_flight(instance, "full_loop")
