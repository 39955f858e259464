from dataclasses import replace
from math import log

import numpy as np
import pytest

from llmrec_assets.core.content import FLOOR, HistorySimilarity, TextSimilarity, WordSimilarity
from llmrec_assets.core.encoding import hashed_words, words
from llmrec_assets.core.sequences import Catalogue, Sequences
from llmrec_assets_tests.core.examples import random_sequences, sequences_of

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
    by_words = WordSimilarity(catalogue(), ALL, decay=0.5)
    mixed = by_words.logits(SEQUENCES, np.array([3]), np.array([1]))[0, 1:].exp() - FLOOR
    assert np.allclose(mixed[[0, 3]], [1 / 3, 2 / 3], atol=1e-5)
    for expert in (by_words, TextSimilarity(catalogue(), ALL)):
        nothing = expert.logits(SEQUENCES, np.array([3]), np.array([2]))[0, 1:]
        assert np.allclose(nothing.exp(), FLOOR)


def random_texts(rng: np.random.Generator, n_items: int) -> list[str]:
    """Texts of frequent and rare words, some of them empty, and the padding item's."""
    lexicon = [f"word{n}" for n in range(12)]
    chances = 1 / np.arange(1, 13)
    chosen = [
        rng.choice(lexicon, rng.integers(0, 6), p=chances / chances.sum()) for _ in range(n_items)
    ]
    return ["", *(" ".join(text) for text in chosen)]


def unit(vectors: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)


def tf_idf(texts: list[str], trained: np.ndarray) -> np.ndarray:
    """A unit row an item, by the definition: whether each word occurs, by how rare it is."""
    found = [set(words(text)) for text in texts]
    lexicon = sorted(set().union(*found))
    n = 1 + int(trained.sum())
    rows = np.zeros((len(texts), len(lexicon)))
    for column, word in enumerate(lexicon):
        having = [item for item, own in enumerate(found) if word in own]
        rows[having, column] = log(n / (1 + sum(trained[item] for item in having)))
    return unit(rows)


def asked_by(user_items: list[int], vectors: np.ndarray, recent: int, decay: float) -> np.ndarray:
    """The history's vector: its newest items, older ones with less weight."""
    newest = user_items[::-1][:recent]
    weights = [decay**age for age in range(len(newest))]
    return np.array(weights) @ vectors[newest] / max(sum(weights), 1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_scores_equal_the_definitions_in_loops(seed):
    rng = np.random.default_rng(seed)
    sequences = random_sequences(seed, n_items=15)
    texts = random_texts(rng, 15)
    trained = np.append(False, rng.random(15) < 0.6)
    rows = np.append(-1, np.where(rng.random(15) < 0.8, np.arange(15), -1)).astype(np.int32)
    embeddings = (rng.normal(size=(15, 4)) + 1).astype(np.float32)
    goods = Catalogue(15, rows, embeddings, 1, *hashed_words(texts))

    meanings = np.where(rows[:, None] >= 0, embeddings[rows], 0)
    meanings[rows >= 0] -= meanings[trained & (rows >= 0)].mean(0)
    users = np.arange(sequences.n_users)
    for expert, vectors in (
        (WordSimilarity(goods, trained, recent=3, decay=0.7), tf_idf(texts, trained)),
        (TextSimilarity(goods, trained, recent=3, decay=0.7), unit(meanings)),
    ):
        scores = expert.logits(sequences, sequences.offsets[1:], users)
        assert (scores[:, 0] == float("-inf")).all()
        for user, row in zip(users, scores, strict=True):
            own = sequences.items[sequences.offsets[user] : sequences.offsets[user + 1]].tolist()
            near = np.maximum(vectors @ asked_by(own, vectors, 3, 0.7), 0)
            assert np.allclose(row[1:].exp(), near[1:] + FLOOR, atol=1e-5), (expert, user)


def test_without_trained_items_no_word_is_rare_and_texts_keep_their_direction():
    nothing = np.zeros(6, dtype=bool)
    near = WordSimilarity(catalogue(), nothing).logits(SEQUENCES, np.array([1]), np.array([0]))
    assert np.allclose(near[0, 1:].exp(), FLOOR)
    texts = TextSimilarity(catalogue(), nothing).logits(SEQUENCES, np.array([1]), np.array([0]))
    assert np.allclose(texts[0, 1:4].exp() - FLOOR, [1, 0, np.sqrt(0.5)], atol=1e-5)


def told(histories: list[list[int]], rows: list[list[int]]) -> Sequences:
    """Sequences whose steps say at which row the text of the history up to them is."""
    flat = np.array([row for user in rows for row in user], dtype=np.int32)
    return replace(sequences_of(histories), history_rows=flat)


def whole(sequences: Sequences, goods: Catalogue, train_end: np.ndarray) -> HistorySimilarity:
    items = TextSimilarity(goods, ALL)
    return HistorySimilarity(sequences, goods.embeddings, train_end, items)


def test_whole_histories_are_compared_around_the_mean_of_training_histories():
    vectors = np.array(
        [[1, 0], [0, 1], [1, 1], [-1, -1], [3, 1], [1, 2], [9, 9], [2, 5]], dtype=np.float32
    )
    goods = replace(catalogue(), embeddings=vectors)
    # Rows 4 and 5 end before train_end, 6 and 7 after it; row 4 has a newer one behind it.
    sequences = told([[1, 2, 3], [2, 3, 1, 4], []], [[4, 5, 6], [-1, 7, -1, 6]])
    expert = whole(sequences, goods, np.array([2, 5, 7]))
    mean = (vectors[5] + vectors[7]) / 2
    items = unit(vectors[:4] - vectors[:4].mean(0))
    scores = expert.logits(sequences, np.array([2, 5, 3]), np.array([0, 1, 0]))
    assert (scores[:, 0] == float("-inf")).all()
    for row, found in zip((5, 7, 6), scores, strict=True):
        expected = np.maximum(items @ unit(vectors[row : row + 1] - mean)[0], 0)
        assert np.allclose(found[1:5].exp() - FLOOR, expected, atol=1e-5)
        assert np.allclose(found[5].exp(), FLOOR)


def test_a_history_that_was_not_told_finds_all_items_alike():
    sequences = told([[1, 2], [3], [], [4]], [[0, -1], [1], [], [2]])
    ends, users = np.array([0, 2, 1, 3, 3]), np.array([0, 0, 0, 1, 2])
    expert = whole(sequences, catalogue(), sequences.offsets[1:])
    scores = expert.logits(sequences, ends, users)[:, 1:].exp().numpy()
    # The history before user 0's first event is empty, not the one of another user, and so is
    # the one of user 2, who lies between two users with a text.
    for row in (0, 1, 4):
        assert np.allclose(scores[row], FLOOR)
    assert (scores[[2, 3]] > 2 * FLOOR).any(1).all()
    nowhere = replace(sequences, history_rows=sequences.history_rows[:0])
    silent = whole(nowhere, catalogue(), sequences.offsets[1:])
    assert np.allclose(silent.logits(nowhere, ends, users)[:, 1:].exp(), FLOOR)


def test_no_text_that_ends_after_training_moves_the_mean():
    rng = np.random.default_rng(0)
    sequences = random_sequences(3, n_items=4)
    n = len(sequences.items)
    sequences = replace(sequences, history_rows=rng.permutation(np.arange(-5, n - 5)).clip(-1))
    ends = rng.integers(sequences.starts, sequences.offsets[1:] + 1)
    late = np.arange(n) >= np.repeat(ends, np.diff(sequences.offsets))
    vectors = rng.normal(size=(n, 2)).astype(np.float32)
    planted = vectors.copy()
    rows = sequences.history_rows
    planted[rows[late & (rows >= 0)]] = 99
    own, other = (
        whole(sequences, replace(catalogue(), embeddings=e), ends).mean for e in (vectors, planted)
    )
    assert own.any()
    assert np.array_equal(own, other)
