from math import log

import numpy as np

from llmrec_assets.core.content import FLOOR, TextSimilarity, WordSimilarity
from llmrec_assets.core.encoding import hashed_words
from llmrec_assets.core.sequences import Catalogue
from llmrec_assets_tests.core.examples import sequences_of

TEXTS = ["", "red shoes", "red tea", "blue shoes", "电脑", ""]
SEQUENCES = sequences_of([[1], [1, 4], []])
ALL = np.array([False, True, True, True, True, True])


def catalogue() -> Catalogue:
    vectors = np.array([[1, 0], [0, 1], [1, 1], [-1, -1]], dtype=np.float32)
    rows = np.array([-1, 0, 1, 2, 3, -1], dtype=np.int32)
    return Catalogue(5, rows, vectors, 1, *hashed_words(TEXTS))


def test_words_are_compared_by_tf_idf():
    scores = WordSimilarity(catalogue(), ALL).logits(SEQUENCES, np.array([1]), np.array([0]))[0]
    rarity = {"red": log(6 / 3), "shoes": log(6 / 3), "tea": log(3), "pair": log(3)}
    # "red shoes" and "red tea": red, the other word and the pair of both each.
    length = np.sqrt(rarity["red"] ** 2 + rarity["shoes"] ** 2 + rarity["pair"] ** 2)
    other = np.sqrt(rarity["red"] ** 2 + rarity["tea"] ** 2 + rarity["pair"] ** 2)
    found = scores[1:].exp().numpy() - FLOOR
    assert np.allclose(found[0], 1, atol=1e-5)
    assert np.allclose(found[1], rarity["red"] ** 2 / (length * other), atol=1e-5)
    assert np.allclose(found[3:], 0, atol=1e-5)


def test_how_rare_a_word_is_counts_items_of_the_training_period_only():
    trained = np.array([False, True, True, False, False, False])
    fitted = WordSimilarity(catalogue(), trained)
    near = fitted.logits(SEQUENCES, np.array([1]), np.array([0]))[0, 1:].exp() - FLOOR
    # "red" is in every trained item and says nothing; "shoes" does.
    assert np.allclose(near[1], 0, atol=1e-5)
    # Words of no trained item are rarest: ln 3 for "blue" and the pair, ln 1.5 for "shoes".
    shoes, rare = log(3 / 2), log(3)
    length = np.sqrt(2 * shoes**2) * np.sqrt(shoes**2 + 2 * rare**2)
    assert np.allclose(near[2], shoes**2 / length, atol=1e-5)


def test_texts_are_compared_by_cosine_around_the_mean_of_trained_items():
    scores = TextSimilarity(catalogue(), ALL).logits(SEQUENCES, np.array([1]), np.array([0]))[0]
    vectors = np.array([[1, 0], [0, 1], [1, 1], [-1, -1]]) - np.array([0.25, 0.25])
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = np.maximum(unit @ unit[0], 0)
    assert np.allclose(scores[1:5].exp().numpy() - FLOOR, expected, atol=1e-5)
    assert np.allclose(scores[5].exp(), FLOOR)


def test_newer_events_ask_more_and_no_history_asks_nothing():
    words = WordSimilarity(catalogue(), ALL, decay=0.5)
    mixed = words.logits(SEQUENCES, np.array([3]), np.array([1]))[0, 1:].exp() - FLOOR
    assert np.allclose(mixed[[0, 3]], [1 / 3, 2 / 3], atol=1e-5)
    for expert in (words, TextSimilarity(catalogue(), ALL)):
        nothing = expert.logits(SEQUENCES, np.array([3]), np.array([2]))[0, 1:]
        assert np.allclose(nothing.exp(), FLOOR)
