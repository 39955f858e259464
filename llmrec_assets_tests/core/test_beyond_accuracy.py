"""Measures of lists against their definitions, written out slowly."""

from itertools import combinations
from math import log2, nan

import numpy as np
import pytest

from llmrec_assets.core import beyond_accuracy
from llmrec_assets.core.beyond_accuracy import (
    coverage,
    diversity,
    exposure,
    gini,
    list_measures,
    novelty,
    popularity,
    popularity_lift,
)
from llmrec_assets.core.sequences import Catalogue
from llmrec_assets_tests.core.examples import catalogue


def random_lists(n_items, n=50, k=10):
    """Lists without repetition, some cut short, one of them empty."""
    rng = np.random.default_rng(0)
    shown = np.array([rng.permutation(n_items)[:k] + 1 for _ in range(n)])
    shown[np.arange(k) >= rng.integers(0, k + 1, n)[:, None]] = 0
    shown[0] = 0
    return shown, rng.poisson(3, n_items + 1)


def items_of(row):
    return [item for item in row.tolist() if item]


def mean(values):
    return sum(values) / len(values) if values else nan


def test_novelty_is_the_mean_self_information():
    shown, counts = random_lists(30)
    total = sum(count + 0.5 for count in counts[1:].tolist())
    expected = [
        mean([-log2((int(counts[item]) + 0.5) / total) for item in items_of(row)]) for row in shown
    ]
    assert novelty(shown, counts).tolist() == pytest.approx(expected, nan_ok=True)


def test_an_item_never_trained_on_is_the_most_novel_and_finite():
    found = novelty(np.array([[1], [2], [3]]), np.array([0, 8, 1, 0]))
    assert np.isfinite(found).all()
    assert found[0] < found[1] < found[2]


def test_popularity_and_its_lift_over_histories():
    shown, counts = random_lists(30)
    expected = [mean([int(counts[item]) for item in items_of(row)]) for row in shown]
    found = popularity(shown, counts)
    assert found.tolist() == pytest.approx(expected, nan_ok=True)
    histories = np.random.default_rng(1).uniform(1, 5, len(shown))
    taken = ~np.isnan(found)
    lift = found[taken].mean() / histories[taken].mean() - 1
    assert popularity_lift(shown, histories, counts) == pytest.approx(lift)
    assert popularity_lift(np.array([[1, 2]]), np.array([3.0]), np.array([0, 4, 8])) == 1
    assert popularity_lift(shown, 0 * histories, 0 * counts) is None


def test_diversity_is_the_mean_distance_of_all_pairs_that_have_texts(monkeypatch):
    shown, _ = random_lists(30)
    items = catalogue(30)
    items.text_rows[[4, 9]] = -1
    items.embeddings[6] = 0  # a text of which the encoder makes nothing

    def distance(a, b):
        return 1 - a @ b / (np.linalg.norm(a) * np.linalg.norm(b))

    def vectors(row):
        of_texts = [items.text_rows[item] for item in items_of(row) if item not in (4, 9)]
        return [items.embeddings[text].astype(float) for text in of_texts if text != 6]

    expected = [mean([distance(a, b) for a, b in combinations(vectors(row), 2)]) for row in shown]
    found = diversity(shown, items)
    assert found.tolist() == pytest.approx(expected, nan_ok=True, rel=1e-5)
    monkeypatch.setattr(beyond_accuracy, "_ROWS", 1)
    assert np.array_equal(diversity(shown, items), found, equal_nan=True)


def test_exposure_coverage_and_gini():
    shown = exposure(np.array([[1, 2], [1, 0]]), n_items=4)
    assert shown.tolist() == [2, 1, 0, 0]
    assert coverage(shown) == 0.5
    assert gini(np.array([3, 3, 3])) == pytest.approx(0)
    assert gini(np.array([0, 0, 0, 8])) == pytest.approx(0.75)
    assert gini(np.zeros(3)) == 0


def test_gini_is_half_the_relative_mean_difference():
    counts = np.random.default_rng(0).poisson(2, 40)
    differences = np.abs(counts[:, None] - counts[None, :])
    assert gini(counts) == pytest.approx(differences.mean() / (2 * counts.mean()))


@pytest.mark.parametrize("texts", [True, False])
def test_what_cannot_be_measured_is_absent(texts):
    items: Catalogue = catalogue(5, text=texts)
    counts = np.array([0, 1, 2, 3, 4, 5])
    full = list_measures(np.array([[1, 2, 0], [3, 4, 5]]), np.array([1.0, 2.0]), counts, items)
    always = {"coverage", "gini", "novelty", "popularity", "popularity_lift"}
    assert {name.removesuffix("_at_3") for name in full} == always | (
        {"diversity"} if texts else set()
    )
    nobody = list_measures(np.zeros((0, 3), dtype=np.int64), np.zeros(0), counts, items)
    assert nobody == {"coverage_at_3": 0, "gini_at_3": 0}
