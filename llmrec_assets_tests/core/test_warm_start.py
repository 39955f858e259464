"""A fit that goes on from older weights: what it keeps, what it refuses and what it saves."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from llmrec_assets.core.checkpoints import realign
from llmrec_assets.core.sequences import Catalogue
from llmrec_assets.core.splits import leave_one_out
from llmrec_assets.core.trainer import Trainer
from llmrec_assets.core.training import fit
from llmrec_assets.core.warm_start import CannotContinue, inherit, require_same, shortened
from llmrec_assets_tests.core.examples import catalogue, cycles, small

CONFIG = small(max_epochs=10)


@pytest.fixture(scope="module")
def older():
    sequences = cycles()
    return fit(sequences, catalogue(6), CONFIG, sequences.offsets[1:]).model


def grown():
    """A catalogue of two more items, of which one comes before all others."""
    old = catalogue(6)
    texts = np.concatenate([old.embeddings, np.ones((2, 8), dtype=np.float32)])
    rows = np.array([-1, 6, 0, 1, 2, 3, 4, 5, 7], dtype=np.int32)
    return Catalogue(8, rows, texts, 2)


def moved(older):
    return realign(older, list("bcdefg"), list("abcdefgh"), ["v", "b"], ["v", "b"], grown())


def later():
    """The same walks over codes that moved by one, and longer."""
    sequences = cycles(length=12)
    return replace(sequences, items=sequences.items + 1)


def fresh(config=CONFIG):
    sequences = later()
    return Trainer(sequences, grown(), config, sequences.offsets[1:]).model


def test_known_rows_are_bit_equal_and_new_ones_start_at_zero(older):
    model = fresh()
    inherit(model, moved(older))
    assert torch.equal(model.item.weight[2:8], older.item.weight[1:])
    assert not model.item.weight[[0, 1, 8]].any()
    assert torch.equal(model.behavior.weight[1], older.behavior.weight[1])
    for name in ("encode", "fuse", "output", "numeric"):
        for mine, theirs in zip(
            getattr(model, name).parameters(), getattr(older, name).parameters(), strict=True
        ):
            assert torch.equal(mine, theirs)


def test_the_counts_are_those_of_the_newer_training_period(older):
    model = fresh()
    inherit(model, moved(older))
    assert torch.equal(model.counts, fresh().counts)
    assert (model.counts[2:8] > older.counts[1:]).all()


def test_texts_mean_what_they_meant_under_the_newer_basis():
    config, texts = small(max_epochs=1, text_width=8), catalogue(6)
    fewer, more = cycles(n_items=4), cycles(n_users=120)
    older = fit(fewer, texts, config, fewer.offsets[1:]).model
    model = Trainer(more, texts, config, more.offsets[1:]).model
    inherit(model, older)
    assert not torch.allclose(model.text.basis, older.text.basis)
    rows = torch.arange(6)
    before, after = (text(rows) - text(rows).mean(0) for text in (older.text, model.text))
    # An equal shift of all texts changes no rank.
    assert torch.allclose(before[:4] - before[0], after[:4] - after[0], atol=1e-4)


def test_a_warm_fit_is_as_good_at_once_and_the_older_model_stays(older):
    sequences = later()
    split = leave_one_out(sequences)
    kept = {name: weights.clone() for name, weights in older.state_dict().items()}
    config = shortened(CONFIG)
    span = (sequences, grown(), config, split.train_end, split)
    start = moved(older)
    warm, cold = fit(*span, start=start), fit(*span)
    first, without = (fitted.learning_curve[0].validation_ndcg for fitted in (warm, cold))
    assert first > 0.95
    assert first > without + 0.05
    assert len(warm.learning_curve) <= CONFIG.max_epochs // 5
    again = fit(*span, start=start)
    for name, weights in warm.model.state_dict().items():
        assert torch.equal(weights, again.model.state_dict()[name])
    assert all(torch.equal(kept[name], weights) for name, weights in older.state_dict().items())


def test_a_further_numeric_feature_starts_without_a_say(older):
    sequences = later()
    numeric = np.concatenate([sequences.numeric, np.ones((len(sequences.items), 1), "f4")], 1)
    wider = replace(sequences, numeric=numeric)
    model = Trainer(wider, grown(), CONFIG, wider.offsets[1:]).model
    assert (model.n_numeric, older.n_numeric) == (3, 2)
    inherit(model, moved(older))
    x = torch.randn(5, 6)  # two features and the new one, then which of them are missing
    known = older.numeric(x[:, [0, 1, 3, 4]])
    assert torch.allclose(model.numeric(x), known, atol=1e-6)


def test_weights_that_saw_what_is_held_out_are_refused(older):
    sequences = later()
    held_out = sequences.starts + 3
    with pytest.raises(CannotContinue, match="events that it was trained on"):
        fit(sequences, grown(), CONFIG, held_out, start=moved(older))


def test_other_shapes_are_refused(older):
    wider = small(max_epochs=1, width=32)
    with pytest.raises(CannotContinue, match="shapes"):
        inherit(fresh(wider), moved(older))


@pytest.mark.parametrize(
    ("changes", "refused"),
    [
        ({"max_epochs": 3, "learning_rate": 0.1, "seed": 5, "patience": 1}, None),
        ({"network": "lstm"}, "network"),
        ({"objective": "sigmoid", "width": 8}, "objective, width"),
        ({"dropout": 0.5}, "dropout"),
    ],
)
def test_only_the_schedule_may_differ(changes, refused):
    changed = CONFIG.model_copy(update=changes)
    if refused is None:
        require_same(CONFIG, changed)
    else:
        with pytest.raises(CannotContinue, match=refused):
            require_same(CONFIG, changed)
