import numpy as np
import pytest
import torch

from llmrec_assets.core.checkpoints import load, realign, state
from llmrec_assets.core.networks.scoring import NetworkScorer
from llmrec_assets.core.networks.text import TextTable
from llmrec_assets.core.sequences import Catalogue, Sequences
from llmrec_assets.core.training import Fitted, fit
from llmrec_assets_tests.core.examples import catalogue, cycles, sequences_of, small


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    sequences = cycles()
    return fit(sequences, catalogue(6), small(max_epochs=2), sequences.offsets[1:])


def test_a_saved_model_scores_as_before(fitted: Fitted):
    sequences = cycles()
    saved = state(fitted.model)
    assert not any("table" in name for name in saved)
    copy = load(saved, fitted.model.config, catalogue(6))
    users, ends = np.arange(5), sequences.offsets[1:6]
    assert torch.equal(
        *(NetworkScorer(m).logits(sequences, ends, users) for m in (fitted.model, copy))
    )


def test_old_items_keep_their_scores_on_a_new_catalogue(fitted: Fitted):
    old_items, new_items = list("abcdef"), list("xfedcbay")
    old = catalogue(6)
    extra = np.ones((2, 8), dtype=np.float32)
    grown = Catalogue(
        n_items=8,
        text_rows=np.array([-1, 6, 5, 4, 3, 2, 1, 0, 7], dtype=np.int32),
        embeddings=np.concatenate([old.embeddings, extra]),
        n_behaviors=2,
    )
    moved = realign(fitted.model, old_items, new_items, ["view", "buy"], ["add", "view"], grown)
    code = {old_items.index(item) + 1: new_items.index(item) + 1 for item in old_items}
    before = sequences_of([[1, 2, 3]], n_numeric=2)
    after = Sequences(
        offsets=before.offsets,
        items=np.array([code[item] for item in [1, 2, 3]], dtype=np.int32),
        behaviors=np.full(3, 2, dtype=np.int16),
        text_rows=before.text_rows,
        numeric=before.numeric,
        times=before.times,
        positive=before.positive,
        weights=before.weights,
    )
    user, end = np.array([0]), np.array([3])
    was = NetworkScorer(fitted.model).logits(before, end, user)[0]
    now = NetworkScorer(moved).logits(after, end, user)[0]
    assert torch.allclose(now[[code[item] for item in range(1, 7)]], was[1:], atol=1e-5)
    # Both new items have the same text and no id: the same score.
    assert torch.allclose(now[1], now[8])
    assert torch.isfinite(now[1:]).all()


def test_an_item_that_is_gone_is_dropped(fitted: Fitted):
    old = catalogue(6)
    smaller = Catalogue(5, old.text_rows[:6], old.embeddings, 2)
    moved = realign(fitted.model, list("abcdef"), list("abcde"), ["v", "b"], ["v", "b"], smaller)
    assert torch.allclose(moved.item_matrix(), fitted.model.item_matrix()[:6], atol=1e-5)


@pytest.mark.parametrize("texts", [1, 2, 8, 700])
def test_a_basis_is_found_for_few_texts_and_for_unused_columns(texts: int):
    embeddings = np.zeros((texts, 512), dtype=np.float32)
    embeddings[np.arange(texts), np.arange(texts) % 7] = 1
    table = TextTable(embeddings, text_width=128, width=8)
    table.fit_basis(embeddings, np.arange(texts))
    table.read(embeddings)
    assert table.table.isfinite().all()


def test_a_basis_does_not_depend_on_last_digits():
    """Unrelated texts have equal variances, whose axes are anybody's choice."""
    embeddings = np.eye(20, 32)
    noise = np.random.default_rng(1).normal(size=embeddings.shape) * 1e-15
    tables = [TextTable(embeddings, text_width=16, width=8) for _ in range(2)]
    for table, texts in zip(tables, (embeddings, embeddings + noise), strict=True):
        table.fit_basis(texts, np.arange(20))
    assert tables[0].basis.abs().max() > 0.1
    torch.testing.assert_close(tables[1].basis, tables[0].basis, atol=1e-4, rtol=0)
