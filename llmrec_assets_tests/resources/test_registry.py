"""Model versions in a real MLflow store."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch
from mlflow import MlflowClient

from llmrec_assets.layout import Layout
from llmrec_assets.resources.checksums import HASHES, DamagedFile
from llmrec_assets.resources.model_package import ModelPackage, PackageInfo
from llmrec_assets.resources.owned_folders import SCRATCH_PREFIX
from llmrec_assets.resources.registry import CHALLENGER, CHAMPION, SEAL_TAG, Registry, log_file
from llmrec_assets.resources.wiring import resources_of

AS_A_USER = """
import sys
from pathlib import Path
from llmrec_assets.layout import Layout
from llmrec_assets.resources.wiring import resources_of
from llmrec_assets_tests.chaos.machine import obey_permissions

obey_permissions()
try:
    resources_of(Layout(Path(sys.argv[1])))["registry"].versions()
except PermissionError as error:
    print(error)
"""


def registry_of(root: Path) -> Registry:
    return resources_of(Layout(root))["registry"]


def package(version: str, number: float) -> ModelPackage:
    info = PackageInfo(
        version=version,
        config={},
        items=["a"],
        behaviors=["buy"],
        encoder="none",
        statistics_version="",
        scaling="z-score",
        data_fingerprint="",
        code_version="",
        trained_through=1,
        best_epoch=1,
        validation_ndcg_at_10=0.5,
        powers={"network": 1.0},
        features=[],
    )
    weights = {"w": torch.tensor([number])}
    return ModelPackage(info, weights, {"w": torch.tensor([-number])}, {})


def register(registry: Registry, version: str, number: float) -> int:
    with registry.run(version, "a Dagster run") as (client, run_id):
        client.log_text(run_id, version, "note.txt")
        return registry.register(package(version, number), run_id)


def notes(root: Path) -> set[str]:
    return {path.read_text() for path in (root / "mlartifacts").rglob("note.txt")}


def test_a_moved_store_loads_what_it_had_and_writes_in_its_new_place(tmp_path):
    old, new = tmp_path / "first", tmp_path / "there is" / "more room"
    register(registry_of(old), "gru-1", 1)
    registry_of(old).promote("gru-1", "it is the first")
    new.parent.mkdir()
    shutil.move(old, new)

    moved = registry_of(new)
    assert moved.alias(CHAMPION) == "gru-1"
    assert moved.load("gru-1").final["w"].item() == -1
    assert register(moved, "gru-2", 2) == 2
    assert moved.alias(CHALLENGER) == "gru-2"
    assert [moved.load(v).evaluation["w"].item() for v in ("gru-1", "gru-2")] == [1, 2]
    assert notes(new) == {"gru-1", "gru-2"}
    assert not old.exists()

    shutil.move(new, old)
    assert register(registry_of(old), "gru-3", 3) == 3
    shutil.move(old, new)
    assert [moved.load(f"gru-{n}").info.version for n in (1, 2, 3)] == ["gru-1", "gru-2", "gru-3"]
    assert register(moved, "gru-4", 4) == 4
    assert notes(new) == {"gru-1", "gru-2", "gru-3", "gru-4"}
    assert not old.exists()


def test_a_copied_store_leaves_the_original_alone(tmp_path):
    register(registry_of(tmp_path / "original"), "gru-1", 1)
    shutil.copytree(tmp_path / "original", tmp_path / "copy")
    before = sorted((tmp_path / "original" / "mlartifacts").rglob("*"))
    register(registry_of(tmp_path / "copy"), "gru-2", 2)
    assert sorted((tmp_path / "original" / "mlartifacts").rglob("*")) == before
    assert registry_of(tmp_path / "copy").load("gru-2").final["w"].item() == -2


def test_a_version_is_registered_once_and_an_unknown_one_is_named(tmp_path):
    registry = registry_of(tmp_path)
    assert register(registry, "gru-1", 1) == register(registry, "gru-1", 1) == 1
    for ask in (registry.load, lambda version: registry.promote(version, "why not")):
        with pytest.raises(KeyError, match="'gru-9' is not registered"):
            ask("gru-9")


def test_a_decision_is_written_on_the_version_once(tmp_path):
    registry = registry_of(tmp_path)
    for number in (1, 2):
        register(registry, f"gru-{number}", number)
    assert registry.versions() == ["gru-2", "gru-1"]
    record = {"decision_id": "abc", "outcome": "more_data", "reason": "too few", "users": 3}
    for _ in range(2):
        registry.record_decision("gru-1", record)
    registry.record_decision("none-1", record)  # nothing was trained, so there is no version
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    model = client.get_model_version("llmrec", "1")
    assert (model.tags["decision_id"], model.tags["outcome"]) == ("abc", "more_data")
    assert model.description == "more_data: too few"
    (file,) = (tmp_path / "mlartifacts").rglob("decisions/*")
    assert file.name == "abc.json"
    assert json.loads(file.read_text()) == record


def test_what_is_logged_lies_in_a_folder_that_a_kill_does_not_leave_for_good(tmp_path, monkeypatch):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    registry, seen = registry_of(tmp_path), []

    def write(file: Path) -> None:
        seen.extend(path.name for path in temporary.iterdir())
        file.write_text("told")

    with registry.run("gru-1", "run of Dagster") as (client, run_id):
        log_file(client, run_id, "told/what.txt", write)
    (name,) = seen
    assert name.startswith(SCRATCH_PREFIX)
    assert not list(temporary.iterdir())
    (logged,) = (tmp_path / "mlartifacts").rglob("told/*")
    assert (logged.name, logged.read_text()) == ("what.txt", "told")


FILES = ("evaluation.safetensors", "final.safetensors", "reranker.safetensors", "package.json",
         HASHES)  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_byte_of_a_version_that_changed_is_found_before_use_and_mended_by_training_again(
    tmp_path, name
):
    registry = registry_of(tmp_path)
    register(registry, "gru-1", 1)
    path = registry.folder("gru-1") / name
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    for use in (registry.load, registry.info, registry.folder):
        with pytest.raises(DamagedFile, match=rf"{name} has changed .* → .*backup"):
            use("gru-1")
    assert [error.path for error in registry.damaged()] == [path]
    register(registry, "gru-1", 1)
    assert registry.damaged() == []
    assert registry.load("gru-1").final["w"].item() == -1


def test_a_lost_file_and_a_lost_list_are_found(tmp_path):
    registry = registry_of(tmp_path)
    register(registry, "gru-1", 1)
    for name in ("final.safetensors", HASHES):
        (registry.folder("gru-1") / name).unlink()
        with pytest.raises(DamagedFile, match="is gone"):
            registry.load("gru-1")
        register(registry, "gru-1", 1)


def test_a_version_of_before_there_were_seals_is_read(tmp_path):
    registry = registry_of(tmp_path)
    register(registry, "gru-1", 1)
    MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}").delete_model_version_tag(
        "llmrec", "1", SEAL_TAG
    )
    (registry.folder("gru-1") / HASHES).unlink()
    assert registry.load("gru-1").info.version == "gru-1"


def test_a_database_that_was_emptied_or_lost_is_not_taken_for_a_new_one(tmp_path):
    registry = registry_of(tmp_path)
    register(registry, "gru-1", 1)
    database = tmp_path / "mlflow.db"
    saved = database.rename(tmp_path / "saved.db")
    database.write_bytes(b"")
    with pytest.raises(DamagedFile, match=r"mlflow\.db is empty → .*backup"):
        registry.alias(CHAMPION)
    database.unlink()
    with pytest.raises(DamagedFile, match=r"mlflow\.db is gone, .* → .*backup"):
        registry.alias(CHAMPION)
    saved.rename(database)
    assert registry.versions() == ["gru-1"]


def test_a_registry_that_may_not_be_read_is_told_at_once(tmp_path):
    register(registry_of(tmp_path), "gru-1", 1)
    database = Layout(tmp_path).mlflow_database
    database.chmod(0o000)
    command = [sys.executable, "-c", AS_A_USER, str(tmp_path)]
    said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=90).stdout
    assert f"Permission denied: '{database}'" in said
