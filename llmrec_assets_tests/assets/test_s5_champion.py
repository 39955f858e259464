"""Who serves, in a small store: the record, the way back, and a person's word."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import chain
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
from mlflow import MlflowClient

from llmrec_assets.assets import champion_steps
from llmrec_assets.automation import history
from llmrec_assets.core.gate_evidence import Thresholds
from llmrec_assets.definitions import GROUPS, defs
from llmrec_assets.layout import Layout
from llmrec_assets.operations.retraction import retract
from llmrec_assets.resources.registry import CHAMPION
from llmrec_assets.resources.wiring import resources_of

EVENTS = "user_id,item_id,timestamp,behavior\n" + "".join(
    f"u{user},i{(user + step) % 6},{step},{'buy' if step % 2 else 'browse'}\n"
    for user in range(12)
    for step in range(6)
)
OPS = {
    "ops": {
        "temporal_model": {"config": {"max_epochs": 1}},
        "model_evaluation": {"config": {"global_time_split": False}},
    }
}
RULES = Thresholds(users=2, slice_users=1)


PREPARED = (
    "clean_events",
    "user_sequences",
    "item_encoder",
    "text_features",
    "temporal_features",
    "fused_features",
)
JUDGED = ("temporal_model", "model_evaluation")


def resources(root):
    """Of a root, with the plain encoder."""
    found = resources_of(root)
    return found | {"encoder": type(found["encoder"])(model="bag_of_words")}


def launch(root, job, instance, config):
    return defs.resolve_job_def(job).execute_in_process(
        instance=instance, resources=resources(root), run_config=config
    )


class Store:
    """A root with one judged model, whose scores can be set."""

    def __init__(self, root, instance) -> None:
        self.root, self.instance = root, instance
        self.warehouse = resources_of(root)["warehouse"]
        self.registry = resources_of(root)["registry"]

    @property
    def newest(self) -> str:
        table = self.read("select * from s5_model.temporal_model order by trained_at")
        return table["model_version"].iloc[-1]

    def read(self, query):
        return self.warehouse.read(query)

    def decisions(self):
        return self.read("select * from s5_model.champion_model order by decided_at, rowid")

    def learn(self, user):
        """New events of a user, and a model that knows them and is compared, but not judged yet."""
        rows = "".join(f"{user},i{step},{step},buy\n" for step in range(5))
        text = "user_id,item_id,timestamp,behavior\n" + rows
        (self.root.landing_events / f"{user}.csv").write_text(text)
        launch(self.root, "ingest", self.instance, {})
        self.retrain(PREPARED + JUDGED)
        return self.newest

    def retrain(self, assets):
        """Some assets of a training, without the gate."""
        modules = list(chain(*GROUPS.values()))
        dg.materialize(
            dg.load_assets_from_modules(modules, include_specs=True),
            selection=list(assets),
            instance=self.instance,
            resources=resources(self.root),
            run_config=OPS,
        )

    def score(self, difference):
        """Let the newest model be above the baselines and `difference` above the champion."""
        with self.warehouse.connect() as connection:
            connection.execute(
                "update s5_model.model_evaluation set score = case"
                " when role = 'challenger' then 0.8 + ? when role = 'champion' then 0.8"
                " else 0.1 end where metric = 'masked_ndcg_at_10'",
                [difference],
            )
            connection.execute(
                "update s5_model.model_evaluation set score = 0.5"
                " where metric in ('coverage_at_10', 'gini_at_10')"
            )
            for table in ("intervals", "guarded"):
                connection.execute(
                    f"update s5_model.model_evaluation_{table} set difference = $d,"
                    " lower = $d - 0.001, upper = $d + 0.001",
                    {"d": difference},
                )

    def judge(self, thresholds=RULES):
        verdict = champion_steps.judge_newest(self.warehouse, self.registry, thresholds)
        champion_steps.put_in_service(verdict, self.warehouse, self.registry)
        return verdict.decision

    def by_hand(self, job, version, **config):
        return launch(self.root, job, self.instance, {"version": version, **config})

    def listed_by(self):
        return set(pd.read_parquet(self.root.recommendations)["model_version"])


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """A root with one judged model, made once."""
    root = Layout(tmp_path_factory.mktemp("judged") / "data")
    for folder in (root.landing_events, root.landing_items, root.landing_feedback):
        folder.mkdir(parents=True)
    (root.landing_events / "events.csv").write_text(EVENTS)
    with dg.DagsterInstance.ephemeral() as instance:
        launch(root, "full_loop", instance, OPS)
    return root


@pytest.fixture
def store(judged, tmp_path):
    """A copy of that root."""
    shutil.copytree(judged.root, tmp_path / "data")
    with dg.DagsterInstance.ephemeral() as instance:
        yield Store(Layout(tmp_path / "data"), instance)


@pytest.fixture
def promoted(store):
    """A store whose first model serves; its version."""
    store.score(0.0)
    assert store.judge().outcome == "promoted"
    return store.newest


def test_a_decision_leaves_its_numbers_in_the_warehouse_and_on_the_model(store, promoted):
    challenger = store.learn("new1")
    store.score(0.05)
    decision = store.judge()
    assert (decision.outcome, decision.served) == ("promoted", challenger)
    row = store.decisions().iloc[-1]
    assert (row["challenger"], row["champion"], row["by_hand"]) == (challenger, promoted, False)
    assert Thresholds(**json.loads(row["thresholds"])) == RULES
    evidence = store.read(
        "select e.* from s5_model.gate_evidence as e join s5_model.champion_model"
        f" using (decision_id) where decision_id = '{row['decision_id']}' order by position"
    )
    assert evidence["passed"].all()
    told = evidence.set_index("test")
    assert {"slice new_users", "slice behavior buy", "coverage", "gini"} <= set(told.index)
    overall = told.loc["precise_enough"]
    assert [overall["value"], overall["lower"], overall["upper"]] == pytest.approx(
        [0.05, 0.049, 0.051]
    )
    assert overall["threshold"] == pytest.approx(-0.08)
    assert overall["users"] >= 2

    client = MlflowClient(tracking_uri=f"sqlite:///{Path(store.registry.database).resolve()}")
    model = client.get_model_version_by_alias("llmrec", CHAMPION)
    assert model.tags["llmrec_version"] == challenger
    assert model.tags["decision_id"] == row["decision_id"]
    assert model.description == f"promoted: {decision.reason}"
    run = Path(store.registry.artifacts) / str(model.run_id) / "artifacts"
    (file,) = (run / "decisions").glob(f"{row['decision_id']}.json")
    written = json.loads(file.read_text())
    assert written["outcome"] == "promoted"
    assert written["thresholds"]["tolerance"] == RULES.tolerance
    assert [test["test"] for test in written["tests"]] == evidence["test"].tolist()


def test_judging_the_same_again_is_the_same_decision(store, promoted):
    challenger = store.learn("new1")
    store.score(0.05)
    store.judge()
    before = store.decisions()
    with store.warehouse.connect() as connection:
        evaluation = connection.execute("from s5_model.model_evaluation order by all").df()
    store.judge()
    pd.testing.assert_frame_equal(store.decisions(), before)
    store.retrain(JUDGED)  # now it serves, and is still held against the first
    assert store.newest == challenger
    again = store.read("from s5_model.model_evaluation order by all")
    assert set(again["scorer"]) == set(evaluation["scorer"])
    assert promoted in set(again["scorer"])
    store.score(0.05)
    assert store.judge().outcome == "promoted"
    assert store.decisions()["decision_id"].iloc[-1] == before["decision_id"].iloc[-1]


def test_a_challenger_that_is_not_sure_enough_leaves_the_champion(store, promoted):
    store.learn("new1")
    store.score(0.05)
    decision = store.judge(replace(RULES, users=10_000))
    assert (decision.outcome, decision.served) == ("more_data", promoted)
    assert store.registry.alias(CHAMPION) == promoted
    store.score(-0.05)
    assert store.judge().outcome == "kept"
    assert store.registry.alias(CHAMPION) == promoted


def test_a_rollback_holds_until_newer_events_were_learnt(store, promoted):
    second = store.learn("new1")
    store.score(0.05)
    assert store.judge().served == second
    through = store.decisions()["judged_through"].iloc[-1]

    assert store.by_hand("rollback", promoted, because="complaints").success
    assert store.registry.alias(CHAMPION) == promoted
    assert store.listed_by() == {promoted}
    row = store.decisions().iloc[-1]
    assert (row["outcome"], row["served"], row["by_hand"]) == ("rolled_back", promoted, True)
    assert row["reason"] == f"rolled back by hand, in place of {second}: complaints"
    told = history.latest_number(store.instance, "champion_model", "judged_through")
    assert told == through == row["judged_through"]

    launch(store.root, "retrain", store.instance, OPS)
    assert store.listed_by() == {promoted}
    assert store.newest == second  # nothing new was learnt
    store.score(0.05)
    assert store.judge().outcome == "kept"
    assert "by hand" in store.decisions()["reason"].iloc[-1]
    assert store.listed_by() == {promoted}

    third = store.learn("new2")
    store.score(0.05)
    decision = store.judge()
    assert (decision.outcome, decision.served) == ("promoted", third)
    assert store.decisions()["champion"].iloc[-1] == promoted


def test_an_unknown_version_is_answered_with_those_that_exist(store):
    before = store.decisions()
    with pytest.raises(dg.Failure, match=f"'gru-9' is not registered; there are: {store.newest}"):
        store.by_hand("rollback", "gru-9")
    pd.testing.assert_frame_equal(store.decisions(), before)
    with pytest.raises(dg.DagsterInvalidConfigError, match="version"):
        defs.resolve_job_def("rollback").execute_in_process(run_config={})


def test_a_winner_waits_for_approval(store):
    version = store.newest
    with pytest.raises(dg.Failure, match=f"{version} does not await approval; no version does"):
        store.by_hand("approve", version)
    store.score(0.0)
    asked = replace(RULES, approval=True)
    decision = store.judge(asked)
    assert (decision.outcome, decision.kind) == ("awaiting_approval", "baseline")
    assert store.registry.alias(CHAMPION) is None
    assert store.judge(asked).outcome == "awaiting_approval"
    with pytest.raises(dg.Failure, match="'gru-9' is not registered"):
        store.by_hand("approve", "gru-9")

    assert store.by_hand("approve", version).success
    row = store.decisions().iloc[-1]
    assert (row["outcome"], row["served"], row["by_hand"]) == ("promoted", version, True)
    assert store.listed_by() == {version}
    assert store.judge(asked).served == version  # what was approved is not asked for again

    second = store.learn("new1")
    store.score(0.05)
    decision = store.judge(asked)
    assert (decision.outcome, decision.served) == ("awaiting_approval", version)
    assert store.registry.alias(CHAMPION) == version
    assert store.by_hand("approve", second).success
    assert store.registry.alias(CHAMPION) == second


def llmrec(root, *arguments):
    """What a person types, as a process of its own."""
    variables = {"LLMREC_DATA_DIR": str(root.root), "LLMREC_ENCODER": "bag_of_words"}
    code = "from llmrec_assets.cli import main; main(prog_name='llmrec')"
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=os.environ | variables,
        cwd=root.root.parent,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_approval_and_rollback_are_typed_and_the_lists_follow(store):
    first = store.newest
    store.score(0.0)
    assert store.judge(replace(RULES, approval=True)).outcome == "awaiting_approval"
    assert f"{first} serves" in llmrec(store.root, "approve", first)
    assert store.registry.alias(CHAMPION) == first
    assert store.listed_by() == {first}

    second = store.learn("new1")
    store.score(0.05)
    assert store.judge().served == store.registry.alias(CHAMPION) == second
    assert f"{first} serves" in llmrec(store.root, "rollback", first, "--because", "complaints")
    assert store.registry.alias(CHAMPION) == first
    assert store.listed_by() == {first}
    row = store.decisions().iloc[-1]
    assert (row["outcome"], row["served"], row["by_hand"]) == ("rolled_back", first, True)
    assert row["reason"].endswith(": complaints")
    assert "new1" in set(pd.read_parquet(store.root.recommendations)["user_id"])


def test_a_champion_that_saw_a_retracted_batch_gives_way_to_one_that_did_not(store, promoted):
    poisoned = store.learn("bot")
    store.score(0.05)
    assert store.judge().served == poisoned
    taken = retract(store.root, "bot.csv", "a bot farm")
    assert (taken.rows, taken.restored, taken.versions) == (5, 0, [poisoned])
    store.retrain(PREPARED + JUDGED)
    assert store.newest == promoted, "the same events make the same model"
    store.score(-0.5)  # far below the champion, which knows what was taken back
    decision = store.judge()
    assert (decision.outcome, decision.served) == ("promoted", promoted)
    assert store.registry.alias(CHAMPION) == promoted
    assert store.read("select user_id from s2_sequences.clean_events where user_id = 'bot'").empty
