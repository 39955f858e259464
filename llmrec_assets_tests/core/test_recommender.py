from dataclasses import replace

import numpy as np
import pytest
import torch

from llmrec_assets.core import blocks
from llmrec_assets.core.candidates import feature_names
from llmrec_assets.core.encoding import hashed_words
from llmrec_assets.core.ranking import evaluate
from llmrec_assets.core.recommender import Recommender, Weights, fit_weights, make_experts
from llmrec_assets.core.sequences import Catalogue, Sequences
from llmrec_assets.core.splits import leave_one_out
from llmrec_assets_tests.core.examples import catalogue, sequences_of

KINDS = ["tea", "shoes", "lamp", "book"]
N_ITEMS = 40


def shop(seed: int = 0, users: int = 150) -> Sequences:
    """Everybody buys of one kind and nothing twice; item i is of kind (i - 1) % 4."""
    rng = np.random.default_rng(seed)
    items, times = [], []
    for _ in range(users):
        kind, start = rng.integers(4), rng.integers(0, 60)
        items.append((rng.permutation(N_ITEMS // 4)[:6] * 4 + kind + 1).tolist())
        times.append((start + np.sort(rng.integers(0, 30, 6))).tolist())
    return sequences_of(items, times)


def goods(text: bool = True) -> Catalogue:
    words = hashed_words(["", *(f"{KINDS[(i - 1) % 4]} no{i}" for i in range(1, N_ITEMS + 1))])
    plain = catalogue(N_ITEMS, text=text)
    return replace(plain, word_offsets=words[0], words=words[1]) if text else plain


@pytest.fixture(scope="module")
def fitted() -> tuple[Sequences, Recommender, Weights]:
    sequences = shop()
    split = leave_one_out(sequences)
    experts = make_experts(None, sequences, goods(), split.train_end)
    weights = fit_weights(experts, sequences, split.validation, seed=0)
    return sequences, weights.recommender(experts), weights


def everybody(sequences: Sequences) -> tuple[np.ndarray, np.ndarray]:
    return sequences.offsets[1:], np.arange(sequences.n_users)


def test_it_finds_more_than_its_experts(fitted):
    sequences, recommender, weights = fitted
    assert weights.reranker
    targets = leave_one_out(sequences).test
    metric = "ndcg_at_10"
    own = evaluate(recommender, sequences, targets).summary()[metric]
    for expert in recommender.experts.all.values():
        assert own > evaluate(expert, sequences, targets).summary()[metric]


def test_scores_are_a_distribution_and_the_reranker_only_moves_it_among_candidates(fitted):
    sequences, recommender, _ = fitted
    scores = recommender.logits(sequences, *everybody(sequences))
    prior = Recommender(recommender.experts, recommender.powers, None)
    plain = prior.logits(sequences, *everybody(sequences))
    for logits in (scores, plain):
        assert (logits[:, 0] == float("-inf")).all()
        assert torch.allclose(logits.exp().sum(1), torch.ones(len(logits)), atol=1e-5)
    assert not torch.allclose(scores, plain, atol=1e-2)


def test_blocks_and_the_order_of_users_make_no_difference(fitted, monkeypatch):
    sequences, recommender, _ = fitted
    ends, users = everybody(sequences)
    whole = recommender.logits(sequences, ends, users)
    order = np.random.default_rng(0).permutation(users)
    shuffled = recommender.logits(sequences, ends[order], order)
    assert torch.allclose(shuffled, whole[torch.from_numpy(order)], atol=1e-4)
    monkeypatch.setattr(blocks, "CELLS", 7 * N_ITEMS)
    assert torch.allclose(recommender.logits(sequences, ends, users), whole, atol=1e-4)


def test_nothing_at_or_after_the_end_of_training_reaches_a_history_before_it():
    sequences = shop()
    split = leave_one_out(sequences)
    held_out = np.ones(len(sequences.items), dtype=bool)
    for start, end in zip(sequences.starts, split.train_end, strict=True):
        held_out[start:end] = False
    changed = replace(sequences, items=np.where(held_out, 1, sequences.items).astype(np.int32))
    scores = []
    for data in (sequences, changed):
        experts = make_experts(None, data, goods(), split.train_end)
        powers = dict.fromkeys(experts.prior, 0.3)
        recommender = Recommender(experts, powers, None)
        found = recommender.examples(data, split.train_end - 1)  # the last that training saw
        logits = recommender.logits(data, split.train_end - 1, np.arange(data.n_users))
        scores.append((logits, found.features, found.targets))
    for one, other in zip(*scores, strict=True):
        assert np.array_equal(one, other)


def test_users_without_events_get_the_prior_and_few_items_are_enough():
    sequences = sequences_of([[1, 2, 1], [2, 1, 2], [], [3]])
    experts = make_experts(None, sequences, catalogue(3, text=False), sequences.offsets[1:])
    weights = fit_weights(experts, sequences, leave_one_out(sequences).validation, seed=0)
    assert not weights.reranker
    scores = weights.recommender(experts).logits(sequences, *everybody(sequences))
    assert scores.shape == (4, 4)
    assert scores[:, 1:].isfinite().all()


def test_weights_know_which_experts_they_were_learnt_for(fitted):
    sequences, _, weights = fitted
    ends = leave_one_out(sequences).train_end
    textless = make_experts(None, sequences, goods(text=False), ends)
    with pytest.raises(ValueError, match=r"learnt for .*words.*, but there are"):
        weights.recommender(textless)
    fewer = Weights(
        {"decayed_markov": 0.5, "item_neighbours": 0.5}, feature_names(textless.all), {}
    )
    with_texts = make_experts(None, sequences, goods(), ends)
    assert list(fewer.recommender(with_texts).experts.prior) == [
        "decayed_markov",
        "item_neighbours",
    ]


def test_the_same_seed_gives_the_same_scores(fitted):
    sequences, recommender, weights = fitted
    again = fit_weights(recommender.experts, sequences, leave_one_out(sequences).validation, seed=0)
    assert again.powers == weights.powers
    assert all(torch.equal(again.reranker[name], weights.reranker[name]) for name in again.reranker)
