"""One result by every engine: in this process, in shards, and by Ray's workers that get killed."""

import hashlib
import os
import signal
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from llmrec_assets.assets.shard_steps import fill_by
from llmrec_assets.core.behaviors import Behavior
from llmrec_assets.resources.engine import Engine
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.sql import s2_sequences, s2_tables
from llmrec_assets.sql.fingerprints import fingerprint
from llmrec_assets.sql.s1_tables import RAW_EVENTS, RAW_ITEMS

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
        s2_sequences.register_words(connection, BEHAVIORS, "zh")
        s2_sequences.clean(
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


def killed_once(marker: Path, function, job):
    """The first process that gets here dies, as by the kernel, when its part is written."""
    made = function(job)
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return made


class KillsOne(Engine):
    """An engine one of whose workers dies."""

    marker: str

    def run_tasks(self, function, jobs):
        return super().run_tasks(partial(killed_once, Path(self.marker), function), jobs)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    found = fingerprints(tmp_path_factory.mktemp("alone"), Engine())
    assert all(not text.startswith("0-") for text in found.values()), found
    return found


def test_eight_shards_make_what_one_makes(alone, tmp_path):
    assert fingerprints(tmp_path, Engine(shards=SHARDS)) == alone


@needs_ray
def test_rays_workers_make_the_same_although_one_is_killed(alone, tmp_path):
    marker, tasks = tmp_path / "killed", tmp_path / "tasks"
    engine = KillsOne(kind="ray", shards=SHARDS, folder=str(tasks), marker=str(marker))
    assert fingerprints(tmp_path, engine) == alone
    assert marker.exists()
    assert not list(tasks.iterdir())
