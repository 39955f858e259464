"""Every variant tells of the items what its name says, and nothing else changes."""

from dataclasses import replace

import numpy as np
import pytest

from llmrec_assets.core.config import ModelConfig
from llmrec_assets.core.encoding import hashed_words
from llmrec_assets.core.sequences import Catalogue, Sequences
from llmrec_assets.core.text_variants import VARIANTS, setting_of, told
from llmrec_assets_tests.core.examples import catalogue, random_sequences

N_ITEMS, UNTOLD = 12, 5  # an item without a text


def shop() -> tuple[Sequences, Catalogue]:
    """Row c - 1 is the text of item c, row N_ITEMS + c - 1 that of a step with it."""
    goods = catalogue(2 * N_ITEMS)
    rows = goods.text_rows[: N_ITEMS + 1].copy()
    rows[UNTOLD] = -1
    texts = ["", *(f"thing number{c} of{c % 3}" for c in range(1, N_ITEMS + 1))]
    texts[UNTOLD] = ""
    offsets, words = hashed_words(texts)
    goods = replace(goods, n_items=N_ITEMS, text_rows=rows, word_offsets=offsets, words=words)
    sequences = random_sequences(1, n_items=N_ITEMS)
    steps = np.where(rows[sequences.items] >= 0, sequences.items - 1 + N_ITEMS, -1)
    return replace(sequences, text_rows=steps.astype(np.int32)), goods


def vectors_of(goods: Catalogue) -> np.ndarray:
    return goods.embeddings[goods.text_rows[1:][goods.text_rows[1:] >= 0]]


def words_of(goods: Catalogue) -> list[tuple[int, ...]]:
    pieces = np.split(goods.words, goods.word_offsets[1:-1])
    return [tuple(sorted(piece.tolist())) for piece in pieces]


def same(name: str, one: object, other: object) -> bool:
    return np.array_equal(getattr(one, name), getattr(other, name))


def test_the_default_changes_nothing():
    sequences, goods = shop()
    own, shown = told(VARIANTS["default"], sequences, goods, seed=0)
    assert all(same(name, own, sequences) for name in vars(sequences))
    assert all(same(name, shown, goods) for name in vars(goods))


@pytest.mark.parametrize("name", VARIANTS)
def test_only_texts_differ(name):
    sequences, goods = shop()
    own, shown = told(VARIANTS[name], sequences, goods, seed=0)
    assert all(same(part, own, sequences) for part in vars(sequences) if part != "text_rows")
    assert (shown.n_items, shown.n_behaviors) == (goods.n_items, goods.n_behaviors)


@pytest.mark.parametrize(
    ("name", "vectors", "words"),
    [("ids_only", False, False), ("words_only", False, True), ("vectors_only", True, False)],
)
def test_what_is_left_out_is_nowhere(name, vectors, words):
    sequences, goods = shop()
    own, shown = told(VARIANTS[name], sequences, goods, seed=0)
    assert bool(len(shown.embeddings)) is vectors
    assert bool((shown.text_rows >= 0).any()) is vectors
    assert bool((own.text_rows >= 0).any()) is vectors
    assert bool(len(shown.words)) is words
    assert bool(len(shown.word_offsets)) is words


def test_shuffling_deals_out_the_same_texts_and_keeps_words_and_vectors_together():
    sequences, goods = shop()
    own, shown = told(VARIANTS["shuffled_texts"], sequences, goods, seed=0)
    assert shown.text_rows[UNTOLD] == -1
    dealt, given = vectors_of(shown), vectors_of(goods)
    assert not np.array_equal(dealt, given)
    assert np.array_equal(np.sort(dealt, axis=0), np.sort(given, axis=0))
    before, after = words_of(goods), words_of(shown)
    assert after != before
    assert sorted(after) == sorted(before)
    for item in range(1, N_ITEMS + 1):
        if item != UNTOLD:
            assert after[item] == before[shown.text_rows[item] + 1]
    with_text = own.text_rows >= 0
    assert np.array_equal(with_text, sequences.text_rows >= 0)
    assert np.array_equal(
        own.text_rows[with_text], shown.text_rows[sequences.items[with_text]] + N_ITEMS
    )


def test_a_step_whose_pair_never_occurred_reads_the_item_s_text():
    sequences, goods = shop()
    sequences = replace(sequences, behaviors=sequences.items.astype(np.int16))
    own, shown = told(VARIANTS["shuffled_texts"], sequences, goods, seed=0)
    assert np.array_equal(
        own.text_rows[sequences.items != shown.text_rows[sequences.items] + 1],
        shown.text_rows[sequences.items][sequences.items != shown.text_rows[sequences.items] + 1],
    )


def test_a_random_vector_is_a_direction_of_the_item_and_its_steps():
    sequences, goods = shop()
    own, shown = told(VARIANTS["random_vectors"], sequences, goods, seed=0)
    assert shown.embeddings.shape == (N_ITEMS - 1, goods.embeddings.shape[1])
    assert np.allclose(np.linalg.norm(shown.embeddings, axis=1), 1)
    assert np.array_equal(shown.text_rows >= 0, goods.text_rows >= 0)
    assert len(set(shown.text_rows[shown.text_rows >= 0])) == N_ITEMS - 1
    assert np.array_equal(own.text_rows, shown.text_rows[sequences.items])
    assert not len(shown.words)


@pytest.mark.parametrize("name", ["shuffled_texts", "random_vectors"])
def test_a_placebo_follows_its_seed(name):
    sequences, goods = shop()
    once, again, other = (
        vectors_of(told(VARIANTS[name], sequences, goods, seed)[1]) for seed in (0, 0, 1)
    )
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)


def test_variants_that_are_fitted_alike_have_one_setting():
    def setting(name: str, **choices: object) -> str:
        encoders = {"in use": "e+head-1", "frozen": "e", "tuned": "e+head-1"}
        return setting_of(VARIANTS[name], ModelConfig.model_validate(choices), encoders)

    assert setting("default", fusion="gate") == setting("fusion_gate", fusion="mean")
    assert setting("default") == setting("tuned_encoder", seed=3) != setting("frozen_encoder")
    assert setting("default") != setting("default", max_epochs=1)
    assert len({setting(name) for name in VARIANTS}) == len(VARIANTS) - 2
