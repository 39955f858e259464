"""A fine-tuned transformer through the whole graph: trained, used, reused and outlived."""

from types import SimpleNamespace

import numpy as np
import pytest

from llmrec_assets.assets import encoder_kinds, encoder_material, text_steps
from llmrec_assets.assets.model_inputs import read_inputs
from llmrec_assets.assets.s3_embeddings import TuningConfig
from llmrec_assets.core import fine_tuning
from llmrec_assets.core.encoder_head import base_of, kind_of
from llmrec_assets.core.encoding import BagOfWords, EncoderUnavailable
from llmrec_assets.layout import Layout
from llmrec_assets.resources.encoder import TextEncoder
from llmrec_assets.resources.wiring import resources_of
from llmrec_assets.settings import SettingError
from llmrec_assets.sql import s3_embeddings as embeddings_sql
from llmrec_assets_tests.assets.test_item_encoder import (  # noqa: F401 - small is a fixture
    THEMES,
    newest,
    small,
    write,
)
from llmrec_assets_tests.benchmarks.preparation import materialised
from llmrec_assets_tests.core.tiny_encoder import write_tiny_encoder

LORA = {
    "item_encoder": {"minimum_pairs": 100, "tuning": "lora", "transformer_steps": 20},
    "temporal_model": {"max_epochs": 1},
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The path of a transformer that knows the words of the titles."""
    words = [*THEMES, *(f"w{n}" for n in range(60))]
    return str(write_tiny_encoder(tmp_path_factory.mktemp("encoder") / "tiny", words))


@pytest.fixture
def quick(small, monkeypatch):  # noqa: F811
    """Batches that fit the little data, and steps that are large enough for few of them."""
    fields = fine_tuning.FineTuneConfig.model_fields
    for name, value in {"batch": 32, "check_every": 10, "learning_rate": 0.005}.items():
        monkeypatch.setattr(fields[name], "default", value)
    fine_tuning.FineTuneConfig.model_rebuild(force=True)
    yield
    monkeypatch.undo()
    fine_tuning.FineTuneConfig.model_rebuild(force=True)


def matrices(root) -> dict[str, str]:
    with resources_of(root)["warehouse"].connect() as connection:
        return embeddings_sql.current_matrices(connection)


def never(*_arguments, **_options):
    raise AssertionError("nothing is to be tuned or encoded")


def test_a_promoted_encoder_is_read_by_the_model_and_tuned_once(
    root, run_job, quick, tiny, monkeypatch
):
    write(root)
    run_job(config=LORA, encoder=tiny)
    first, resources = newest(root), resources_of(root)
    assert first["outcome"] == "promoted", first["reason"]
    version, base = first["encoder"], first["base"]
    assert (kind_of(version), base_of(version)) == ("lora", base)
    assert list(matrices(root)) == [base, version]

    store = resources["warehouse"], resources["arrays"]
    inputs = read_inputs(*store, "z-score", ("final",))
    assert inputs.encoder == version
    rows = resources["warehouse"].read(
        "select text, embedding_row from s3_embeddings.text_features where kind = 'item'"
    )
    folder = resources["encoder_registry"].folder(version)
    assert not [path.name for path in folder.rglob("*") if path.suffix in (".bin", ".pt", ".pkl")]
    encoder = TextEncoder(model=tiny)
    tuned = encoder.tuned(folder).encode(list(rows["text"]))
    used = inputs.final.catalogue.embeddings[rows["embedding_row"].to_numpy()]
    np.testing.assert_allclose(used, tuned, atol=2e-3)  # kept in two bytes a number
    frozen = read_inputs(*store, "z-score", ("final",), encoder=base)
    assert frozen.encoder == base
    kept = frozen.final.catalogue.embeddings[rows["embedding_row"].to_numpy()]
    np.testing.assert_allclose(kept, encoder.encoder().encode(list(rows["text"])), atol=2e-3)

    monkeypatch.setattr(encoder_kinds, "tune_head", never)
    monkeypatch.setattr(encoder_kinds, "fine_tune", never)
    monkeypatch.setattr(TextEncoder, "tuned", never)
    run_job("retrain_with_encoder", config=LORA, encoder=tiny)
    assert newest(root).drop("decided_at").equals(first.drop("decided_at"))


def test_the_encoder_of_the_champion_stays_current(root, run_job, quick, tiny):
    write(root)
    run_job(config=LORA, encoder=tiny)
    version, registry = newest(root)["encoder"], resources_of(root)["registry"]
    trained = resources_of(root)["warehouse"].read("from s5_model.temporal_model")
    model = str(trained["model_version"][0])
    registry.promote(model, "for the test")
    assert registry.info(model).encoder == version

    off = LORA | {"item_encoder": {"tuning": "off"}}
    write(root, file="more.csv", first=60)
    run_job("full_loop", config=off, encoder=tiny)
    assert newest(root)["outcome"] == "off"
    assert version in matrices(root)
    judged = resources_of(root)["warehouse"].read(
        "select distinct scorer from s5_model.model_evaluation where role = 'champion'"
    )
    assert judged["scorer"].tolist() == [model]


def test_killed_after_tuning_it_is_only_judged(root, run_job, quick, tiny, monkeypatch):
    """What was registered is not tuned again, and what was encoded is not encoded again."""
    write(root)
    with monkeypatch.context() as patched:
        patched.setattr("llmrec_assets.assets.encoder_steps.judge", never)
        assert not run_job(config=LORA, encoder=tiny, raise_on_error=False).success
    monkeypatch.setattr(encoder_kinds, "tune_head", never)
    monkeypatch.setattr(encoder_kinds, "fine_tune", never)
    run_job("retrain_with_encoder", config=LORA, encoder=tiny)
    assert newest(root)["outcome"] in ("promoted", "kept")


@pytest.fixture
def version_after(tmp_path):
    """The version that a log would be tuned to in which other items take some events' places."""

    def run(name, changed):
        folder = tmp_path / name
        folder.mkdir()
        write(SimpleNamespace(landing_events=folder, landing_items=folder))
        header, *lines = (folder / "events.csv").read_text().splitlines()
        rows = [line.split(",") for line in lines]
        for place, row in enumerate(rows):
            if changed(place % 12):  # every user has twelve events
                row[1] = f"i{(int(row[1][1:]) + 1) % 80}"
        (folder / "events.csv").write_text("\n".join([header, *map(",".join, rows)]))
        assets = ["user_sequences", "clean_events"]
        resources = materialised(Layout(folder / "store"), folder, assets)
        store = resources["warehouse"], resources["arrays"]
        text_steps.encode_new(*store, "bag", BagOfWords, print, items_alone=True)
        return encoder_material.read(*store, "bag", 3).version("bag", "lora", "{}")

    return run


def test_what_is_held_out_is_no_part_of_the_tuning(version_after):
    as_it_is = version_after("one", lambda _step: False)
    assert version_after("two", lambda step: step >= 10) == as_it_is
    assert version_after("three", lambda step: step == 4) != as_it_is


@pytest.mark.parametrize("tuning", ["lora", "full"])
@pytest.mark.parametrize("model", ["multilingual", "bag_of_words", "endpoint:small"])
def test_what_is_no_transformer_is_refused_before_anything_is_read(model, tuning, root):
    encoder = TextEncoder(model=model, url="https://host/v1")
    resources = resources_of(root)
    with pytest.raises(EncoderUnavailable, match=f"{tuning} .*{model}.* head works with every"):
        TuningConfig(tuning=tuning).way(resources["warehouse"], resources["arrays"], encoder)


def test_the_environment_is_refused_when_definitions_load(root, monkeypatch):
    monkeypatch.setenv("LLMREC_TUNE_ENCODER", "lora")
    with pytest.raises(SettingError, match=r"'multilingual' has none .* head works"):
        resources_of(root)
    monkeypatch.setenv("LLMREC_TUNE_ENCODER", "head")
    resources_of(root)
