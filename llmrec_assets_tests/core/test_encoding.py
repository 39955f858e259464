import numpy as np
import pytest

from llmrec_assets.core import encoding
from llmrec_assets.core.encoding import (
    HASHED_VOCABULARY,
    BagOfWords,
    Encoder,
    SentenceEncoder,
    hashed_words,
    words,
)

TITLES = [
    "无线蓝牙耳机",
    "wireless bluetooth earphones",
    "婴儿纸尿裤",
    "baby diapers",
    "购买无线耳机",
    "buy Wireless Earphones",
    "red summer dress with a very long description " * 5,
]


@pytest.fixture(scope="module")
def multilingual() -> SentenceEncoder:
    return SentenceEncoder(lambda: encoding.load_multilingual(1), batch_size=4, threads=1)


@pytest.fixture(params=["multilingual", "bag_of_words"])
def encoder(request: pytest.FixtureRequest) -> Encoder:
    if request.param == "multilingual":
        return request.getfixturevalue("multilingual")
    return BagOfWords()


def test_vectors_are_float32_of_unit_length(encoder):
    vectors = encoder.encode(TITLES)
    assert vectors.shape == (len(TITLES), 512)
    assert vectors.dtype == np.float32
    assert np.isfinite(vectors).all()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_the_same_texts_give_the_same_vectors(encoder):
    np.testing.assert_array_equal(encoder.encode(TITLES), encoder.encode(TITLES))


def test_a_vector_depends_on_its_text_alone(encoder):
    together = encoder.encode(TITLES)
    np.testing.assert_allclose(encoder.encode(TITLES[::-1])[::-1], together, atol=1e-6)
    for title, vector in zip(TITLES, together, strict=True):
        np.testing.assert_allclose(encoder.encode([title])[0], vector, atol=1e-6)


def test_multilingual_puts_translations_next_to_each_other(multilingual):
    earphones, english, diapers, english_diapers = multilingual.encode(TITLES[:4])
    assert earphones @ english > max(earphones @ diapers, earphones @ english_diapers)
    assert diapers @ english_diapers > max(diapers @ earphones, diapers @ english)


@pytest.mark.parametrize("text", [" ", "!!!", "😀😀", "x" * 5000, "无线" * 2000, "a\x00b"])
def test_odd_texts_have_finite_vectors(encoder, text):
    assert np.isfinite(encoder.encode([text])).all()


def test_the_thread_setting_of_the_process_is_left_alone(multilingual):
    import torch

    before = torch.get_num_threads()
    multilingual.encode(["text"])
    assert torch.get_num_threads() == before


def test_bag_of_words_finds_shared_words_in_both_languages():
    bag = BagOfWords()
    a, b, other = bag.encode(["Wireless Earphones", "wireless earphones, black", "baby diapers"])
    assert a @ b > a @ other
    a, b, other = bag.encode(["无线蓝牙耳机", "蓝牙耳机", "婴儿纸尿裤"])
    assert a @ b > a @ other


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Red Dress", ["red", "dress", "red dress"]),
        ("耳机", ["耳", "机", "耳 机"]),
        ("USB线", ["usb", "线", "usb 线"]),
        ("!?", []),
    ],
)
def test_words(text, expected):
    assert words(text) == expected


def codes_of(texts: list[str]) -> list[list[int]]:
    offsets, codes = hashed_words(texts)
    assert (offsets.dtype, codes.dtype) == (np.int64, np.int32)
    assert (offsets[0], offsets[-1], len(offsets)) == (0, len(codes), len(texts) + 1)
    return [part.tolist() for part in np.split(codes, offsets[1:-1])]


def test_hashed_words_list_each_word_and_pair_of_a_text_once():
    texts = ["", "Red dress red dress", "dress", "!?", "耳机"]
    found = codes_of(texts)
    assert [len(codes) for codes in found] == [len(set(words(text))) for text in texts]
    assert all(len(set(codes)) == len(codes) for codes in found)
    assert set(found[2]) < set(found[1])
    assert min(found[1]) >= 0
    assert max(found[1]) < HASHED_VOCABULARY


def test_hashed_words_depend_on_the_text_alone():
    together = codes_of(TITLES)
    assert [codes_of([title])[0] for title in TITLES] == together
    assert codes_of(TITLES[::-1]) == together[::-1]
    many = [f"a{n} b{n}" for n in range(2000)]
    # Hardly any of 6,000 words and pairs share a code.
    assert len(set(np.concatenate(codes_of(many)).tolist())) > 5900
