"""Answers to explored slots, through the whole graph, to what a challenger would have earned."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from llmrec_assets.assets import off_policy_steps
from llmrec_assets.assets.off_policy_steps import Drawing, PastFit
from llmrec_assets.resources.wiring import resources_of
from llmrec_assets.sql import s5_off_policy as off_policy_sql
from llmrec_assets_tests.who_serves import who_serves

START = datetime(2024, 3, 1, tzinfo=UTC)
USERS, ITEMS, EVENTS = 60, 20, 10
CLICKS = ["click"]


def config(exploration):
    return {
        "temporal_model": {"max_epochs": 1},
        "recommendations": {"top_k": 4, "exploration": exploration},
    }


def write_events(root):
    """Everybody goes round the same circle of items, each from another place."""
    rows = ["user_id,item_id,timestamp,behavior"]
    for user in range(USERS):
        for step in range(EVENTS):
            at = START + timedelta(hours=user + 50 * step)
            rows.append(f"u{user:02d},i{(user * 7 + step) % ITEMS:02d},{at.isoformat()},browse")
    (root.landing_events / "events.csv").write_text("\n".join(rows))


def answer(root, lists):
    """Impressions of every slot, and clicks on items with an even number."""
    at = (START + timedelta(days=60)).isoformat()
    rows = []
    for slot in lists.itertuples():
        common = {"list_id": slot.list_id, "user_id": slot.user_id, "item_id": slot.item_id}
        common |= {"rank": slot.rank, "timestamp": at}
        name = f"{slot.list_id}-{slot.item_id}"
        rows.append(common | {"feedback_id": name, "response": "impression"})
        if int(slot.item_id[1:]) % 2 == 0:
            rows.append(common | {"feedback_id": f"{name}-click", "response": "click"})
    text = "\n".join(map(json.dumps, rows))
    (root.landing_feedback / "answers.jsonl").write_text(text)


@pytest.fixture
def answered(root, run_job):
    """Half of all slots explored, shown and answered; the lists."""
    write_events(root)
    run_job(config=config(0.5))
    lists = pd.read_parquet(root.recommendations)
    answer(root, lists)
    run_job("collect_feedback")
    return lists


def test_answers_to_explored_slots_tell_what_the_challenger_would_have_earned(
    answered, root, run_job
):
    explored = answered[answered["source"] == "exploration"]
    assert len(explored) == 2 * USERS
    warehouse = resources_of(root)["warehouse"]
    serving = who_serves(root)
    scorer, data = serving.scorer, serving.data

    # Who made the lists is found to draw as it drew, and is worth what it earned.
    itself = PastFit(scorer, data, data.sequences.starts)
    found, note = off_policy_steps.estimate(warehouse, itself, None, CLICKS, 100.0)
    assert note == f"off-policy estimates from {USERS} of {USERS} explored lists"
    table = found.set_index(["policy", "estimator"])
    clicked = explored["item_id"].str[1:].astype(int) % 2 == 0
    assert table.loc[("logged", "logged"), "value"] == pytest.approx(clicked.mean())
    for estimator in ("ips", "snips", "dr"):
        row = table.loc[("exploring", estimator)]
        exact = estimator != "dr"  # which also hangs on what the reward model expects
        assert row["value"] == pytest.approx(clicked.mean(), rel=1e-4 if exact else 0.05)
        assert row["mean_weight"] == pytest.approx(1, rel=1e-4)
        assert row["effective_sample"] == pytest.approx(len(explored), rel=1e-4)
    assert (table["slots"] == len(explored)).all()
    assert table.loc[("greedy", "snips"), "effective_sample"] < len(explored) / 2

    # A fit that learnt the answers is not asked.
    late = PastFit(scorer, data, data.sequences.offsets[1:])
    with warehouse.connect() as connection:
        connection.execute("update s5_model.champion_model set judged_through = 1")
    found, note = off_policy_steps.estimate(warehouse, late, None, CLICKS, 100.0)
    assert found.empty
    assert note == "no off-policy estimate: the fit knows answers to all lists"
    with warehouse.connect() as connection:
        connection.execute(
            "update s5_model.champion_model set judged_through = ?", [USERS * EVENTS]
        )

    # The answers return as events; the lists are still read at the time when they were made.
    run_job("ingest")
    result = run_job("retrain", config=config(0.5))
    shown = result.asset_materializations_for_node("model_evaluation")[0].metadata
    assert "| exploring | snips |" in shown["off_policy"].value
    stored = warehouse.read(f"select * from {off_policy_sql.OFF_POLICY_ESTIMATES.full_name}")
    assert len(stored) == 7
    assert set(stored["slots"]) == {len(explored)}
    logged = stored[stored["policy"] == "logged"].iloc[0]
    assert logged["value"] == pytest.approx(clicked.mean())
    others = stored[stored["policy"] != "logged"]
    assert np.isfinite(others[["value", "lower", "upper", "effective_sample"]]).all(axis=None)
    assert (others["lower"] <= others["upper"]).all()


def test_histories_of_logged_lists_end_where_the_answers_begin(answered, root, run_job):
    run_job("ingest")
    run_job("retrain", config=config(0.5))
    resources = resources_of(root)
    with resources["warehouse"].connect() as connection:
        rows = off_policy_sql.logged_lists(connection, None, CLICKS)
        seqs = off_policy_sql.event_seqs(connection).to_numpy()
    rows = rows[rows["list_id"].isin(answered["list_id"])]
    serving = who_serves(root)
    data = serving.data
    assert len(data.sequences.items) > USERS * EVENTS  # the answers came back as events
    through = rows.groupby("list_id", sort=True)["through"].first().to_numpy()
    log = off_policy_steps.read_log(rows, through, data, seqs)
    assert (log.ends - data.sequences.starts[log.users] == EVENTS).all()
    # The kept slots were filled first, and count for nothing.
    assert log.shown.shape == (USERS, 4)
    assert log.asked.tolist() == [[False, False, True, True]] * USERS
    assert (log.propensities[:, :2] == 1).all()
    items = np.array([int(item[1:]) for item in data.items])
    assert (log.rewards == (items[log.shown - 1] % 2 == 0)).all()


def test_without_exploration_nothing_is_estimated(root, run_job):
    write_events(root)
    run_job(config=config(0.0))
    answer(root, pd.read_parquet(root.recommendations))
    run_job("collect_feedback")
    run_job("ingest")
    result = run_job("retrain", config=config(0.0))
    shown = result.asset_materializations_for_node("model_evaluation")[0].metadata
    notes = [str(note) for note in shown["notes"].value]
    assert any("no off-policy estimate: no explored slot" in note for note in notes)
    assert "off_policy" not in shown


def test_the_exploring_policy_draws_as_the_lists_are_drawn(root, run_job):
    write_events(root)
    at = (START + timedelta(days=59)).isoformat()
    rows = [f"u{user:02d},i{user * 7 % ITEMS:02d},{at},dislike" for user in range(USERS)]
    text = "\n".join(["user_id,item_id,timestamp,behavior", *rows])
    (root.landing_events / "dislikes.csv").write_text(text)
    lists = {"exclude_seen": False, "temperature": 3.0}
    run_job(config={**config(0.5), "recommendations": config(0.5)["recommendations"] | lists})
    answer(root, pd.read_parquet(root.recommendations))
    run_job("collect_feedback")
    warehouse = resources_of(root)["warehouse"]
    serving = who_serves(root)
    scorer, data = serving.scorer, serving.data
    itself = PastFit(scorer, data, data.sequences.starts)

    def weight(drawing):
        found, _ = off_policy_steps.estimate(warehouse, itself, None, CLICKS, 100.0, drawing)
        rows = found.set_index(["policy", "estimator"])
        return rows.loc[("exploring", "ips"), ["mean_weight", "effective_sample"]].tolist()

    slots = 2 * USERS
    assert weight(Drawing(3.0, ("dislike",))) == pytest.approx([1, slots], rel=1e-4)
    assert weight(Drawing(1.0, ("dislike",)))[1] < 0.99 * slots  # another draw
    assert weight(Drawing(3.0))[0] < 0.99  # some of it goes to what is not shown
