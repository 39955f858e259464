"""The encoder through the whole graph: tuned, judged, used, and kept for an older champion."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from llmrec_assets.assets import encoder_steps
from llmrec_assets.assets.model_inputs import read_inputs
from llmrec_assets.core.encoder_gain import Gain
from llmrec_assets.core.encoder_head import kind_of
from llmrec_assets.resources.wiring import resources_of

START = datetime(2024, 3, 1, tzinfo=UTC)
THEMES = ("coffee", "garden", "music", "running")


def write(root, users=60, file="events.csv", first=0):
    """Users stay with a theme that is one of many words of a title."""
    rng = np.random.default_rng(first)
    events = ["user_id,item_id,timestamp,behavior"]
    for user in range(first, first + users):
        own = [item for item in range(80) if item % 4 == user % 4]
        for step, item in enumerate(rng.permutation(own)[:12]):
            at = START + timedelta(hours=50 * step + user % 40)
            events.append(f"u{user},i{item},{at.isoformat()},buy")
    (root.landing_events / file).write_text("\n".join(events))
    if first == 0:
        words = rng.integers(60, size=(80, 12))
        titles = [f"i{i},{THEMES[i % 4]} " + " ".join(f"w{w}" for w in words[i]) for i in range(80)]
        (root.landing_items / "items.csv").write_text("\n".join(["item_id,title", *titles]))


@pytest.fixture
def small(monkeypatch):
    """Batches that fit the little data."""
    from llmrec_assets.core import head_tuning

    fields = head_tuning.HeadConfig.model_fields
    for name, value in {"batch": 64, "max_passes": 40, "learning_rate": 0.01}.items():
        monkeypatch.setattr(fields[name], "default", value)
    head_tuning.HeadConfig.model_rebuild(force=True)
    yield
    monkeypatch.undo()
    head_tuning.HeadConfig.model_rebuild(force=True)


CONFIG = {"item_encoder": {"minimum_pairs": 100}, "temporal_model": {"max_epochs": 2}}


def newest(root):
    return (
        resources_of(root)["warehouse"]
        .read("select * from s3_embeddings.item_encoder order by decided_at desc")
        .iloc[0]
    )


def test_the_tuned_encoder_is_used_and_an_older_model_keeps_its_own(root, run_job, small):
    write(root)
    run_job(config=CONFIG)
    first = newest(root)
    assert first["outcome"] == "promoted", first["reason"]
    assert first["text_gain_lower"] > 0
    assert kind_of(first["encoder"]) == "head"
    resources = resources_of(root)
    store = resources["warehouse"], resources["arrays"]
    inputs = read_inputs(*store, "z-score", ("final",))
    assert inputs.encoder == first["encoder"]
    frozen = read_inputs(*store, "z-score", ("final",), encoder=first["base"])
    assert frozen.encoder == first["base"]
    old = np.array(inputs.final.catalogue.embeddings)
    assert np.abs(old - frozen.final.catalogue.embeddings).max() > 0.1
    assert resources["encoder_registry"].folder(first["version"]).is_dir()

    write(root, file="more.csv", first=60)
    run_job(config=CONFIG)
    assert newest(root)["version"] != first["version"]
    again = read_inputs(*store, "z-score", ("final",), encoder=first["encoder"])
    np.testing.assert_array_equal(again.final.catalogue.embeddings, old)
    notes = resources["warehouse"].read(
        "select distinct role from s5_model.model_evaluation where role = 'champion'"
    )
    assert len(notes) <= 1


def test_the_same_data_gives_the_same_encoder(root, run_job, small):
    write(root)
    run_job(config=CONFIG)
    first = newest(root)
    run_job("retrain_with_encoder", config=CONFIG)
    assert newest(root)["version"] == first["version"]
    assert len(resources_of(root)["warehouse"].read("from s3_embeddings.item_encoder")) == 1


@pytest.mark.parametrize(
    ("config", "reason"),
    [({"tuning": "off"}, "switched off"), ({}, "fewer than 20000")],
)
def test_without_tuning_the_frozen_encoder_is_used(root, run_job, config, reason):
    write(root, users=8)
    run_job(config={"item_encoder": config, "temporal_model": {"max_epochs": 1}})
    row = newest(root)
    assert (row["outcome"], row["encoder"]) == ("off", row["base"])
    assert reason in row["reason"]


@pytest.mark.parametrize(
    ("text", "blend", "used"),
    [
        ((0.01, 0.02), (-0.01, 0.01), True),
        ((-0.001, 0.02), (0.0, 0.01), False),
        ((0.01, 0.02), (-0.02, -0.001), False),
    ],
)
def test_a_sure_gain_that_costs_nothing_is_asked_for(text, blend, used):
    decided, reason = encoder_steps.decide(Gain(0.1, 0.2, *text, 9), Gain(0.3, 0.3, *blend, 9))
    assert decided is used
    assert "NDCG@10" in reason
