from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch

from llmrec_assets.core.batches import batch_of
from llmrec_assets.core.config import ModelConfig
from llmrec_assets.core.memory import TooLittleMemory, estimate_memory, require_memory
from llmrec_assets.core.networks.model import NextItemModel
from llmrec_assets.core.networks.scoring import NetworkScorer
from llmrec_assets.core.ranking import evaluate
from llmrec_assets.core.splits import leave_one_out
from llmrec_assets.core.trainer import NonFiniteLoss, NothingToLearn
from llmrec_assets.core.training import (
    EpochReport,
    fit,
)
from llmrec_assets_tests.core.examples import catalogue, cycles, sequences_of, small

NETWORKS = ["rnn", "lstm", "gru", "transformer"]
FUSIONS = ["concat", "mean", "weighted", "gate"]


@pytest.mark.parametrize(("network", "fusion"), [*product(NETWORKS, FUSIONS)])
def test_every_network_with_every_fusion_learns_a_cycle(network: str, fusion: str):
    sequences = cycles()
    split = leave_one_out(sequences)
    config = small(network=network, fusion=fusion, max_epochs=15)
    fitted = fit(sequences, catalogue(6), config, split.train_end)
    summary = evaluate(NetworkScorer(fitted.model), sequences, split.test).summary()
    assert summary["mrr_at_5"] > 0.95


@pytest.mark.parametrize("objective", ["softmax", "sigmoid", "sampled_softmax"])
@pytest.mark.parametrize("text", [True, False])
def test_every_objective_learns_a_cycle_with_and_without_text(objective: str, text: bool):
    sequences = cycles()
    split = leave_one_out(sequences)
    config = small(objective=objective, max_epochs=15, negatives=32)
    fitted = fit(sequences, catalogue(6, text=text), config, split.train_end)
    summary = evaluate(NetworkScorer(fitted.model), sequences, split.test).summary()
    assert summary["mrr_at_5"] > 0.95


def test_a_last_feature_that_is_always_zero_changes_no_bit():
    plain = cycles()
    silent = np.zeros((len(plain.items), 1), dtype=np.float32)
    longer = replace(plain, numeric=np.hstack([plain.numeric, silent]))
    split, config = leave_one_out(plain), small(max_epochs=2)
    scorers = [
        NetworkScorer(fit(data, catalogue(6), config, split.train_end).model)
        for data in (plain, longer)
    ]
    users = np.arange(plain.n_users)
    scores = [scorer.logits(longer, longer.offsets[users + 1], users) for scorer in scorers]
    assert torch.equal(*scores)


def test_a_last_feature_that_says_something_is_learnt_from():
    plain = cycles()
    said = (np.arange(len(plain.items)) % 3 == 0).astype(np.float32)[:, None]
    longer = replace(plain, numeric=np.hstack([plain.numeric, said]))
    split = leave_one_out(plain)
    fitted = fit(longer, catalogue(6), small(max_epochs=1), split.train_end)
    assert fitted.model.n_numeric == plain.n_numeric + 1


@pytest.mark.parametrize("network", NETWORKS)
def test_no_network_looks_ahead(network: str):
    torch.manual_seed(0)
    sequences = sequences_of([[1, 2, 3, 4, 5, 6]], n_numeric=2)
    other = sequences_of([[1, 2, 3, 5, 6, 2]], n_numeric=2)
    other.numeric[4:] = 9.0
    model = NextItemModel(small(network=network, layers=2), catalogue(6), 2).eval()
    model.counts.fill_(1)
    model.behavior_counts.fill_(1)
    model.text.read(catalogue(6).embeddings)
    rows = np.array([[0, 1, 2, 3, 4, 5]])
    seen, changed = (model(batch_of(data, rows))[0] for data in (sequences, other))
    assert torch.equal(seen[:3], changed[:3])
    assert not torch.allclose(seen[3:], changed[3:])


def test_padding_does_not_change_a_query():
    model = NextItemModel(small(network="transformer"), catalogue(6), 2).eval()
    model.counts.fill_(1)
    sequences = cycles()
    alone = model.query(batch_of(sequences, np.array([[0, 1, 2]])))
    beside = model.query(batch_of(sequences, np.array([[0, 1, 2, -1, -1], [9, 10, 11, 12, 13]])))
    assert torch.allclose(alone[0], beside[0], atol=1e-6)


@pytest.mark.parametrize("network", ["gru", "transformer"])
def test_a_rerun_is_equal_to_the_bit_and_leaves_the_callers_state_alone(network: str):
    sequences = cycles(n_items=12)
    split = leave_one_out(sequences)
    config = small(network=network, dropout=0.2, max_epochs=2, threads=2)
    torch.manual_seed(1)
    random_state, threads = torch.get_rng_state(), torch.get_num_threads()
    first = fit(sequences, catalogue(12), config, split.train_end, split)
    assert torch.equal(random_state, torch.get_rng_state())
    assert torch.get_num_threads() == threads
    torch.manual_seed(2)
    second = fit(sequences, catalogue(12), config, split.train_end, split)
    for one, two in zip(
        first.model.state_dict().values(), second.model.state_dict().values(), strict=True
    ):
        assert torch.equal(one, two)
    other = fit(
        sequences, catalogue(12), small(**{**config.model_dump(), "seed": 1}), split.train_end
    )
    assert not torch.equal(first.model.item.weight, other.model.item.weight)


def test_the_best_epoch_is_kept_and_reported():
    sequences = cycles()
    split = leave_one_out(sequences)
    seen: list[EpochReport] = []
    config = small(max_epochs=12, patience=2)
    fitted = fit(sequences, catalogue(6), config, split.train_end, split, seen.append)
    assert seen == fitted.learning_curve
    ndcgs = [epoch.validation_ndcg or 0 for epoch in seen]
    assert fitted.best_epoch == 1 + int(np.argmax(ndcgs))
    assert len(seen) <= fitted.best_epoch + 2
    kept = evaluate(NetworkScorer(fitted.model), sequences, split.validation)
    assert kept.summary()["ndcg_at_10"] == pytest.approx(max(ndcgs))


def test_a_refit_runs_the_epochs_it_is_given():
    sequences = cycles()
    fitted = fit(sequences, catalogue(6), small(), sequences.offsets[1:], epochs=3)
    assert fitted.best_epoch == len(fitted.learning_curve) == 3
    assert fitted.learning_curve[0].validation_ndcg is None


def test_nothing_after_the_training_period_changes_a_fit():
    sequences = cycles()
    split = leave_one_out(sequences)
    later = cycles()
    for user, end in enumerate(split.train_end):
        later.items[end : later.offsets[user + 1]] = 1
        later.text_rows[end : later.offsets[user + 1]] = 0
    one, two = (
        fit(data, catalogue(6), small(max_epochs=2), split.train_end) for data in (sequences, later)
    )
    assert torch.equal(one.model.item.weight, two.model.item.weight)
    assert torch.equal(one.model.counts, two.model.counts)


def test_a_negative_event_is_never_a_target():
    users = [[1, 2, 1, 2, 1, 2]] * 20
    disliked = [[item != 2 for item in user] for user in users]
    sequences = sequences_of(users, positive=disliked)
    fitted = fit(sequences, catalogue(2, text=False), small(), sequences.offsets[1:])
    logits = NetworkScorer(fitted.model).logits(sequences, np.array([3]), np.array([0]))
    assert logits[0, 1] > logits[0, 2] + 2


def test_an_unseen_item_is_ranked_by_its_text_alone():
    # Items 1..6 walk the circle; item 7 never occurs and reads exactly like item 3.
    sequences = cycles()
    known = catalogue(7)
    known.embeddings[6] = known.embeddings[2]
    split = leave_one_out(sequences)
    model = fit(sequences, known, small(max_epochs=12), split.train_end).model
    matrix = model.item_matrix()
    assert torch.allclose(matrix[7], model.text(torch.tensor(6)))
    with torch.no_grad():
        model.item.weight[7] = 100.0  # whatever stands there does not matter
    after_two = np.flatnonzero(sequences.items == 2)[5] + 1
    user = np.searchsorted(sequences.offsets, after_two, side="left") - 1
    logits = NetworkScorer(model).logits(sequences, np.array([after_two]), np.array([user]))[0]
    # Second to the item whose text it shares.
    assert logits.topk(2).indices.tolist() == [3, 7]


def test_errors_say_what_is_wrong():
    with pytest.raises(NothingToLearn, match="two training events"):
        fit(sequences_of([[1], [2]]), catalogue(2), small(), np.array([1, 2]))
    sequences = cycles()
    with pytest.raises(NonFiniteLoss, match="learning_rate"):
        fit(sequences, catalogue(6), small(learning_rate=1e30), sequences.offsets[1:])
    with pytest.raises(ValueError, match="must divide"):
        ModelConfig(network="transformer", width=10, heads=3)


def test_memory_grows_with_what_is_trained():
    sequences = cycles()
    little = estimate_memory(small(), sequences, catalogue(6))
    assert estimate_memory(small(), sequences, catalogue(60_000)) > little + 60_000 * 16 * 4
    assert estimate_memory(small(batch_events=1 << 16), sequences, catalogue(6)) > little


def test_too_little_memory_is_told_with_settings_that_fit():
    sequences, items = cycles(), catalogue(60_000)
    needed = estimate_memory(small(width=64), sequences, items)
    assert require_memory(small(width=64), sequences, items, needed) == needed
    with pytest.raises(TooLittleMemory, match=r"60000 items .* it would fit with .*width=32"):
        require_memory(small(width=64), sequences, items, needed - 10_000_000)
    with pytest.raises(TooLittleMemory, match="no smaller setting fits"):
        require_memory(small(), sequences, items, 1000)


def test_the_heavier_of_two_next_steps_is_expected():
    users = [[1, 2], [1, 3]] * 30
    sequences = sequences_of(users)
    heavy = np.where(sequences.items == 3, 4.0, 1.0).astype(np.float32)
    logits = {}
    for name, weights in (("alike", sequences.weights), ("heavy", heavy)):
        weighted = replace(sequences, weights=weights)
        fitted = fit(weighted, catalogue(3), small(), sequences.offsets[1:])
        scores = NetworkScorer(fitted.model).logits(weighted, np.array([1]), np.array([0]))[0]
        logits[name] = float(scores[3] - scores[2])
    assert logits["alike"] == pytest.approx(0, abs=0.3)
    assert logits["heavy"] == pytest.approx(np.log(4), abs=0.3)
