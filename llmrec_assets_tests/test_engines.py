"""One result by every engine: in this process, in shards, and by Ray's workers that get killed."""

import hashlib
import os
import subprocess
import sys
from functools import partial
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
import torch

from llmrec_assets.assets import text_steps
from llmrec_assets.assets.shard_steps import fill_by
from llmrec_assets.assets.training_steps import fit_by
from llmrec_assets.core.behaviors import Behavior
from llmrec_assets.core.networks.scoring import NetworkScorer
from llmrec_assets.core.parallel import here
from llmrec_assets.core.splits import leave_one_out
from llmrec_assets.core.trainer import NothingToLearn
from llmrec_assets.core.training import fit
from llmrec_assets.resources import wiring
from llmrec_assets.resources.encoder import TextEncoder
from llmrec_assets.resources.engine import Engine
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.resources.wiring import resources_of
from llmrec_assets.settings import SettingError
from llmrec_assets.sql import s2_clean_events, s2_sequences, s2_tables, s2_words
from llmrec_assets.sql.fingerprints import fingerprint
from llmrec_assets.sql.s1_tables import RAW_EVENTS, RAW_ITEMS
from llmrec_assets_tests.assets.test_s6_recommendations import CONFIG, EVENTS, ITEMS
from llmrec_assets_tests.core.examples import catalogue, random_sequences, sequences_of, small
from llmrec_assets_tests.engine_faults import KillsOne
from llmrec_assets_tests.who_serves import let_serve

needs_ray = pytest.mark.skipif(
    find_spec("ray") is None, reason="ray is not installed: pip install -e '.[ray]'"
)
BEHAVIORS = {"buy": Behavior(weight=2), "skip": Behavior(positive=False)}
TABLES = (
    s2_tables.CLEAN_EVENTS,
    s2_tables.REMOVED_EVENTS,
    s2_tables.VALUE_STATISTICS,
    s2_tables.ITEM_TEXTS,
    s2_tables.STEP_TEXTS,
    s2_tables.EVENT_DETAILS,
    s2_tables.HISTORY_TEXTS,
    s2_tables.USER_SEQUENCES,
)
SHARDS, EMPTY = 8, 5


def shard_of(user):
    return int.from_bytes(hashlib.md5(user.encode()).digest()[8:], "little") % SHARDS


def write_log(connection):
    """4,000 events: 3,000 of one user, none in one of eight shards, everything that is removed."""
    users = [user for user in map("user {}".format, range(150)) if shard_of(user) != EMPTY]
    draw = np.random.default_rng(0)
    n = 4000
    times = pd.Timestamp("2024-01-01") + pd.to_timedelta(draw.integers(0, 90 * 86400, n), "s")
    log = pd.DataFrame(
        {
            "seq": np.arange(1, n + 1),
            "event_id": [f"e{i}" for i in range(n)],
            "user_id": np.where(draw.random(n) < 0.75, users[0], draw.choice(users, n)),
            "item_id": [f"item {i}" for i in draw.zipf(1.3, n) % 300],
            "timestamp": times.astype("datetime64[us]"),
            "behavior": draw.choice(["buy", "browse", "skip", "impression"], n),
            "rating": np.where(draw.random(n) < 0.5, draw.integers(1, 6, n), np.nan),
            "value": draw.lognormal(0, 3, n),
            "text": draw.choice(["good", "bad", None], n),
            "own_event_id": draw.random(n) < 0.5,
            "ingested_at": pd.Timestamp("2024-03-01"),
        }
    )
    RAW_EVENTS.create(connection)
    RAW_ITEMS.create(connection)
    connection.register("log", pd.concat([log, log.head(40).assign(seq=lambda x: x["seq"] + n,
                        event_id="again " + log["event_id"])]))  # fmt: skip
    connection.execute(f"insert into {RAW_EVENTS.full_name} by name from log")
    connection.execute(
        f"""insert into {RAW_ITEMS.full_name} by name
        select 'item ' || i as item_id, '书 ' || i as title from range(200) as items(i)"""
    )


def fingerprints(folder, engine, k_core=3):
    """Of all tables of stage 2, built by the engine."""
    warehouse = Warehouse(path=str(folder / "warehouse.duckdb"))
    with warehouse.connect() as connection:
        write_log(connection)
        s2_words.register_words(connection, BEHAVIORS, "zh")
        s2_clean_events.clean(
            connection,
            earliest="2024-01-02",
            bot_events_per_day=60,
            drop_bots=False,
            k_core=k_core,
            outlier_deviations=3.0,
            fill=fill_by(engine),
        )
        s2_sequences.build_sequences(
            connection,
            "zh",
            history_length=20,
            description_characters=9,
            step_details=True,
            history_texts=True,
            fill=fill_by(engine),
        )
        return {table.name: str(fingerprint(connection, table)) for table in TABLES}


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    found = fingerprints(tmp_path_factory.mktemp("alone"), Engine())
    assert all(not text.startswith("0-") for text in found.values()), found
    return found


def test_eight_shards_make_what_one_makes(alone, tmp_path):
    assert fingerprints(tmp_path, Engine(shards=SHARDS)) == alone


@pytest.fixture
def killing(tmp_path):
    """Ray, one of whose workers is killed, as it must have been in the end."""
    marker, folder = tmp_path / "killed", tmp_path / "tasks"
    folder.mkdir()
    yield KillsOne(kind="ray", shards=SHARDS, folder=str(folder), marker=str(marker))
    assert marker.exists()
    assert not list(folder.iterdir())


@needs_ray
def test_rays_workers_make_the_same_tables(alone, tmp_path, killing):
    assert fingerprints(tmp_path, killing) == alone


@needs_ray
def test_rays_workers_give_the_same_vectors(killing):
    texts = [[f"text {batch} {n}" for n in range(5)] for batch in range(20)]
    make = partial(text_steps._encode, TextEncoder(model="bag_of_words").maker())
    wanted, found = list(here(make, texts)), list(killing.map_made(make, texts))
    assert np.array_equal(found, wanted)


@needs_ray
def test_workers_train_what_one_process_does(killing):
    sequences = random_sequences(3, n_users=100, n_items=20, longest=20)
    split, goods, epochs = leave_one_out(sequences), catalogue(20), []
    config = small(dropout=0.3, max_epochs=3, batch_events=64)
    span = (sequences, goods, config, split.train_end)
    one = fit(*span, split=split)
    together = fit_by(killing, epochs.append)(*span, split=split)
    assert [epoch.epoch for epoch in epochs][-3:] == [1, 2, 3]
    assert together.best_epoch == one.best_epoch
    for own, theirs in zip(one.learning_curve, together.learning_curve, strict=True):
        assert theirs.train_loss == pytest.approx(own.train_loss, abs=1e-6)
        assert theirs.validation_ndcg == pytest.approx(own.validation_ndcg, abs=1e-6)
    scores = [
        NetworkScorer(fitted.model).logits(sequences, sequences.offsets[1:], np.arange(100))
        for fitted in (one, together)
    ]
    torch.testing.assert_close(scores[1], scores[0], atol=1e-5, rtol=0)


def fingerprints_of(result):
    """Asset → fingerprint of its table, as the run's materialisations tell it."""
    return {
        event.asset_key.path[-1]: event.materialization.metadata["fingerprint"].value
        for event in result.get_asset_materialization_events()
    }


@needs_ray
def test_one_setting_runs_the_loop_on_ray(root, run_job, monkeypatch):
    """The same tables, from the same model the same lists, and by training the same model."""
    resources = resources_of(root)
    (root.landing_events / "events.csv").write_text(EVENTS)
    (root.landing_items / "items.csv").write_text(ITEMS)
    run_job(config=CONFIG)
    let_serve(root)
    config = {"recommendations": {"exclude_seen": False, "top_k": 4, "exploration": 0.5}}
    here = fingerprints_of(run_job("refresh_lists", config=config))
    query = "select model_version, validation_ndcg_at_10 from s5_model.temporal_model"
    trained = resources["warehouse"].read(query)
    monkeypatch.setenv("LLMREC_ENGINE", "ray")
    assert fingerprints_of(run_job("refresh_lists", config=config)) == here
    assert set(pd.read_parquet(root.recommendations)["source"]) == {"model", "exploration"}
    run_job("retrain", config=CONFIG)
    pd.testing.assert_frame_equal(resources["warehouse"].read(query), trained, rtol=1e-5)


def test_an_engine_that_is_not_installed_is_refused_by_its_setting(root, monkeypatch):
    monkeypatch.setenv("LLMREC_ENGINE", "ray")
    monkeypatch.setattr(wiring, "find_spec", lambda _name: None)
    with pytest.raises(SettingError, match=r"LLMREC_ENGINE='ray' needs ray: pip install"):
        resources_of(root)


@needs_ray
def test_what_a_task_raises_is_raised_here(tmp_path):
    engine = Engine(kind="ray", folder=str(tmp_path))
    with pytest.raises(ZeroDivisionError):
        engine.run_tasks(partial(divmod, 1), [0])
    with pytest.raises(ZeroDivisionError):
        list(engine.map_made(lambda: partial(divmod, 1), [0]))
    with pytest.raises(NothingToLearn):
        nothing = sequences_of([[1], [2]])
        fit_by(engine, print)(nothing, catalogue(2), small(), np.array([1, 2]))


@needs_ray
def test_ray_listens_to_its_own_process_only(tmp_path):
    Engine(kind="ray", folder=str(tmp_path)).run_tasks(abs, [1])
    assert os.environ["RAY_AUTH_MODE"] == "token"
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    code = "import ray; ray.init(address='auto', logging_level='ERROR'); print(ray.nodes())"
    stranger = {k: v for k, v in os.environ.items() if not k.startswith("RAY_AUTH")}
    stranger |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=stranger)
    assert done.returncode != 0
