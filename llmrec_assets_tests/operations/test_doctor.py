"""Each thing that can be wrong with a store is named, with its remedy."""

import fcntl
import json
import subprocess
import sys

import duckdb
import numpy as np
import pytest

from llmrec_assets import published
from llmrec_assets.operations.doctor import examine
from llmrec_assets.resources.arrays import Arrays
from llmrec_assets.resources.registry import CHAMPION
from llmrec_assets.resources.wiring import resources_of
from llmrec_assets.sql.migrations import MIGRATIONS, Migration, migrate


@pytest.fixture
def store(root):
    """A root with a warehouse and a published package."""
    with duckdb.connect(str(root.warehouse)) as connection:
        connection.execute("create table a as select range as n from range(100000)")
    partial = root.packages / "partial"
    partial.mkdir(parents=True)
    (partial / "a.txt").write_text("a")
    info = published._named(published.PublishedInfo(
        model_version="v", source="model", data_fingerprint="", encoder="",
        generated_at="2026-01-01", settings={}, behaviors=[], dictionary={}, segments=[],
        relative=False, files={"a.txt": published._sha256(partial / "a.txt")},
    ))  # fmt: skip
    (partial / published.INFO).write_text(info.model_dump_json())
    partial.rename(root.packages / info.package_id)
    root.current_package.write_text(json.dumps({"package": info.package_id}))
    return root


def package_of(store):
    return store.packages / str(published.read_current(store))


def ill(layout):
    return {finding.name: finding for finding in examine(layout) if not finding.well}


def test_a_sound_store_and_an_empty_one_are_well(store, tmp_path):
    assert ill(store) == {}
    empty = type(store)(tmp_path)
    assert ill(empty) == {}


def test_a_damaged_package_is_found(store):
    (package_of(store) / "a.txt").write_text("b")
    found = ill(store)
    assert list(found) == ["published package"]
    assert "a.txt has changed" in found["published package"].says
    assert "refresh_lists" in found["published package"].remedy


def test_a_damaged_warehouse_is_found(store):
    raw = bytearray(store.warehouse.read_bytes())
    raw[4096:8192] = b"\x07" * 4096
    store.warehouse.write_bytes(raw)
    assert list(ill(store)) == ["warehouse"]


def test_a_file_of_keys_that_others_may_read_is_found(store):
    path = store.root / "api_keys.json"
    path.write_text("{}")
    path.chmod(0o644)
    assert ill(store)["keys"].says == "others may read api_keys.json"
    path.chmod(0o600)
    assert ill(store) == {}


def test_a_file_that_is_being_written_is_found(store):
    path = store.landing_events / "half.csv"
    with path.open("w") as file:
        file.write("user_id")
        file.flush()
        assert ill(store)["landing/events"].says == "not read: half.csv"


@pytest.mark.parametrize("name", ["package.json", "current.json"])
def test_what_cannot_be_parsed_is_a_finding(store, name):
    path = store.current_package if name == "current.json" else package_of(store) / name
    for content in (b"[]", b"", b"{", path.read_bytes()[:9], b"\xff\xfe"):
        path.write_bytes(content)
        found = ill(store)
        assert list(found) == ["published package"]
        assert name in found["published package"].says


def test_a_changed_field_of_a_package_is_found(store):
    path = package_of(store) / published.INFO
    path.write_text(path.read_text().replace('"model_version":"v"', '"model_version":"w"'))
    assert "package.json has changed" in ill(store)["published package"].says


def test_an_emptied_warehouse_is_not_taken_for_a_new_one(store):
    store.warehouse.write_bytes(b"")
    assert "is empty" in ill(store)["warehouse"].says


def test_who_holds_the_warehouse_is_said(store):
    code = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print(1, flush=True); input()"
    command = [sys.executable, "-c", code, str(store.warehouse)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as holder:
        assert holder.stdout and holder.stdout.readline()
        assert f"held by process {holder.pid} (python" in ill(store)["warehouse"].says
        holder.communicate(b"\n")
    assert ill(store) == {}


def test_a_store_of_a_newer_version_is_found(store):
    with duckdb.connect(str(store.warehouse)) as connection:
        migrate(connection, [*MIGRATIONS, Migration("of tomorrow", print)])
    assert ill(store)["schema"].says == f"version {len(MIGRATIONS) + 1}, this code knows" + (
        f" {len(MIGRATIONS)}"
    )


def test_a_killed_run_is_named_until_it_is_buried(store):
    locks = store.dagster_home / "run_locks"
    locks.mkdir(parents=True)
    (locks / "0123456789").touch()
    assert ill(store)["locks"].says == "killed, and not yet known to have failed: 01234567"
    with (locks / "0123456789").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert ill(store) == {}


def test_foreign_secrets_and_broken_databases_and_arrays_are_found(store):
    (store.root / ".env").write_text("PASSWORD=1")
    store.mlflow_database.write_bytes(b"SQLite format 3\0" + b"\7" * 4096)
    path = store.arrays / Arrays(root=str(store.arrays)).write("a.npy", np.arange(50))
    path.write_bytes(path.read_bytes()[:-60])
    found = ill(store)
    assert list(found) == ["secrets", "databases", "arrays"]
    assert "mlflow.db" in found["databases"].says
    assert found["arrays"].says.endswith("a.npy")
    assert all(finding.remedy for finding in found.values())


def test_a_damaged_model_and_a_split_champion_are_found(root, run_job):
    root.landing_events.joinpath("events.csv").write_text(
        "user_id,item_id,timestamp,behavior\n"
        + "".join(f"u{u},i{(u + s) % 9},{s},buy\n" for u in range(9) for s in range(7))
    )
    run_job(config={"temporal_model": {"max_epochs": 1}})
    assert ill(root) == {}
    registry = resources_of(root)["registry"]
    (version,) = registry.versions()
    if registry.alias(CHAMPION):
        registry.demote()
    else:
        registry.promote(version, "for the test")
    assert "registry: " in ill(root)["champion"].says
    path = registry.folder(version) / "final.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    found = ill(root)
    assert "final.safetensors has changed" in found["models"].says
    assert "backup" in found["models"].remedy
