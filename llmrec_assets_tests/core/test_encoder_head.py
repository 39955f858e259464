"""The head of an encoder: which pairs it is tuned on, what it learns, and what it leaves alone."""

import numpy as np
import pytest

from llmrec_assets.core.encoder_gain import few_histories, halves, text_gain
from llmrec_assets.core.encoder_head import (
    Head,
    base_of,
    consumed_together,
    is_fine_tuned,
    kind_of,
    tuned_name,
)
from llmrec_assets.core.half_precision import neighbours_kept
from llmrec_assets.core.head_tuning import HeadConfig, tune_head
from llmrec_assets.core.sequences import Catalogue, Sequences


def sequences_of(histories: list[list[int]], positive: list[bool] | None = None) -> Sequences:
    items = np.concatenate(histories).astype(np.int32)
    n = len(items)
    return Sequences(
        offsets=np.cumsum([0, *map(len, histories)]),
        items=items,
        behaviors=np.ones(n, np.int16),
        text_rows=np.full(n, -1, np.int32),
        numeric=np.zeros((n, 0), np.float32),
        times=np.arange(n),
        positive=np.ones(n, bool) if positive is None else np.array(positive),
        weights=np.arange(n, dtype=np.float32),
    )


def found(pairs) -> set[tuple[int, int]]:
    return set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))


def test_pairs_are_of_one_user_within_the_window_and_before_the_end():
    sequences = sequences_of([[1, 2, 3, 4], [5, 6, 1]])
    has_text = np.array([False, *[True] * 6])
    pairs = consumed_together(sequences, np.array([3, 6]), has_text, window=2)
    assert found(pairs) == {(1, 2), (2, 3), (1, 3), (5, 6)}
    assert dict(zip(pairs.second.tolist(), pairs.weights.tolist(), strict=True))[6] == 5


def test_no_pair_of_an_item_with_itself_without_text_or_disliked():
    sequences = sequences_of([[1, 1, 2, 3]], [True, True, True, False])
    has_text = np.array([False, True, True, True])
    assert found(consumed_together(sequences, np.array([4]), has_text, 3)) == {(1, 2)}
    has_text[2] = False
    assert found(consumed_together(sequences, np.array([4]), has_text, 3)) == set()


@pytest.fixture
def planted() -> tuple[np.ndarray, Sequences, Catalogue]:
    """40 items in 4 themes; the theme shows in 4 numbers, drowned by 12 louder ones."""
    rng = np.random.default_rng(0)
    theme = np.arange(40) % 4
    vectors = np.zeros((41, 16), np.float32)
    vectors[1:, :12] = rng.normal(size=(40, 12))
    vectors[1:, 12:] = np.eye(4)[theme]
    vectors[1:] /= np.linalg.norm(vectors[1:], axis=1, keepdims=True)
    histories = []
    for user in range(200):
        own = np.flatnonzero(theme == user % 4) + 1
        histories.append(rng.permutation(own)[:6].tolist())
    rows = np.where(np.arange(41) > 0, np.arange(41), -1).astype(np.int32)
    return vectors, sequences_of(histories), Catalogue(40, rows, vectors, 1)


def test_a_head_learns_what_is_consumed_together(planted):
    vectors, sequences, catalogue = planted
    ends = sequences.offsets[1:] - 1
    pairs = consumed_together(sequences, ends, vectors.any(1), 3)
    config = HeadConfig(batch=64, max_steps=200, max_passes=100, learning_rate=0.01)
    seen = []

    def validate(mapped: np.ndarray) -> float:
        seen.append(mapped)
        return text_gain(catalogue, sequences, ends, ends, vectors, mapped).tuned

    tuned = tune_head(vectors, pairs, config, validate)
    gain = text_gain(catalogue, sequences, ends, ends, vectors, tuned.head.apply(vectors))
    assert gain.tuned > gain.frozen + 0.1
    assert gain.lower > 0
    assert max(value for _, value in tuned.curve) == pytest.approx(gain.tuned)
    again = tune_head(vectors, pairs, config, validate)
    np.testing.assert_array_equal(again.head.matrix, tuned.head.matrix)


def test_without_a_better_validation_the_first_head_stays_and_tuning_stops(planted):
    vectors, sequences, _ = planted
    pairs = consumed_together(sequences, sequences.offsets[1:], vectors.any(1), 3)
    config = HeadConfig(batch=64, max_steps=100, max_passes=100, check_every=5, patience=2)
    tuned = tune_head(vectors, pairs, config, lambda _mapped: 0.5)
    assert (tuned.best_step, len(tuned.curve)) == (5, 3)


def test_too_few_pairs_are_refused(planted):
    vectors, sequences, _ = planted
    pairs = consumed_together(sequences, sequences.offsets[1:], vectors.any(1), 1)
    with pytest.raises(ValueError, match="fewer than a batch"):
        tune_head(vectors, pairs, HeadConfig(batch=5000), lambda _mapped: 0.0)


def test_what_has_no_text_stays_zero_and_all_else_has_unit_length():
    rng = np.random.default_rng(0)
    head = Head(rng.normal(size=8).astype(np.float32), rng.normal(size=(8, 8)).astype(np.float32))
    vectors = rng.normal(size=(9000, 8)).astype(np.float32)
    vectors[3] = 0
    mapped = head.apply(vectors)
    assert not mapped[3].any()
    lengths = np.linalg.norm(np.delete(mapped, 3, 0), axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-5)
    np.testing.assert_array_equal(Head.from_array(head.array).apply(vectors), mapped)


@pytest.mark.parametrize(
    ("kind", "fine"), [("head", False), ("lora", True), ("full", True), (None, False)]
)
@pytest.mark.parametrize("base", ["multilingual-0db5", "my+lora-model-53aa51172d14"])
def test_the_name_of_a_tuned_encoder_tells_the_frozen_one_and_the_kind(base, kind, fine):
    name = tuned_name(base, kind, "0123abcd" * 8) if kind else base
    assert (base_of(name), kind_of(name), is_fine_tuned(name)) == (base, kind, fine)


def test_float16_keeps_distinct_neighbours_and_loses_those_it_cannot_tell():
    rng = np.random.default_rng(0)
    apart = rng.normal(size=(300, 32)).astype(np.float32)
    apart /= np.linalg.norm(apart, axis=1, keepdims=True)
    near = apart[:1] + 1e-6 * apart
    assert neighbours_kept(apart) > 0.98
    assert neighbours_kept(near / np.linalg.norm(near, axis=1, keepdims=True)) < 0.8
    assert neighbours_kept(apart[:5]) is None


def test_a_few_histories_need_the_texts_of_few_items(planted):
    _, sequences, catalogue = planted
    targets = sequences.offsets[1:] - 1
    few, kept = few_histories(catalogue, sequences, targets, 12, 0)
    users = np.flatnonzero(kept >= 0)
    needed = {int(item) for user in users for item in histories(sequences)[user]}
    assert set(np.flatnonzero(few.text_rows >= 0).tolist()) == needed
    assert 12 <= len(needed) <= 12 + 5
    np.testing.assert_array_equal(kept[users], targets[users])
    everyone = few_histories(catalogue, sequences, targets, 1000, 0)
    np.testing.assert_array_equal(everyone[0].text_rows, catalogue.text_rows)
    np.testing.assert_array_equal(everyone[1], targets)


def histories(sequences: Sequences) -> list[np.ndarray]:
    return np.split(sequences.items, sequences.offsets[1:-1])


def test_the_halves_share_the_users_with_a_target():
    one, two = halves(np.array([5, -1, 7, 9, -1, 11]))
    assert one.tolist() == [5, -1, -1, 9, -1, -1]
    assert two.tolist() == [-1, -1, 7, -1, -1, 11]
