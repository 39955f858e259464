from dataclasses import replace

import numpy as np
import pytest
import torch

from llmrec_assets.core import blocks, candidates
from llmrec_assets.core.candidates import feature_names
from llmrec_assets.core.encoding import hashed_words
from llmrec_assets.core.networks.model import NextItemModel
from llmrec_assets.core.ranking import evaluate
from llmrec_assets.core.recommender import (
    Experts,
    Recommender,
    Weights,
    fit_weights,
    make_experts,
)
from llmrec_assets.core.reranker import Reranker
from llmrec_assets.core.sequences import Catalogue, Sequences
from llmrec_assets.core.splits import leave_one_out
from llmrec_assets.resources import model_package
from llmrec_assets.resources.model_package import ModelPackage, PackageInfo
from llmrec_assets_tests.core.examples import (
    catalogue,
    random_sequences,
    sequences_of,
    small,
    with_another_future,
)

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


def of_everything(sequences: Sequences, train_end: np.ndarray) -> Experts:
    """Every expert there is, the network with weights as they are drawn."""
    torch.manual_seed(0)
    model = NextItemModel(small(), goods(), n_numeric=0)
    model.counts += 1
    return make_experts(model, sequences, goods(), train_end)


def unlearnt(experts: Experts, seed: int = 0) -> Recommender:
    """A reranker with weights as they are drawn, so that it moves everything it may."""
    names = feature_names(experts.all)
    generator = torch.Generator().manual_seed(seed)
    state = {
        name: torch.randn(value.shape, generator=generator) * 0.3
        for name, value in Reranker(len(names)).state_dict().items()
    }
    state["spread"] = torch.ones(len(names))
    return Weights(dict.fromkeys(experts.prior, 0.4), names, state).recommender(experts)


def test_every_expert_and_their_whole_are_distributions_for_any_user():
    sequences = random_sequences(0, n_items=N_ITEMS)
    experts = of_everything(sequences, leave_one_out(sequences).train_end)
    assert list(experts.prior) == ["network", "decayed_markov", "item_neighbours", "words", "texts"]
    scores = unlearnt(experts).logits(sequences, *everybody(sequences))
    assert scores.shape == (sequences.n_users, N_ITEMS + 1)
    assert (scores[:, 0] == float("-inf")).all()
    assert scores[:, 1:].isfinite().all()
    assert torch.allclose(scores.exp(), scores.softmax(1), atol=1e-6)


def test_only_the_likeliest_new_and_seen_items_move_and_keep_their_probability(monkeypatch):
    monkeypatch.setattr(candidates, "UNSEEN", 5)
    monkeypatch.setattr(candidates, "SEEN", 2)
    sequences = random_sequences(1, n_items=N_ITEMS)
    experts = of_everything(sequences, leave_one_out(sequences).train_end)
    recommender = unlearnt(experts)
    after = recommender.logits(sequences, *everybody(sequences))
    before = Recommender(experts, recommender.powers, None)
    before = before.logits(sequences, *everybody(sequences))
    moved = after != before
    seen = torch.zeros_like(moved)
    owners = np.repeat(np.arange(sequences.n_users), np.diff(sequences.offsets))
    seen[torch.from_numpy(owners), torch.from_numpy(sequences.items.astype(int))] = True
    events = torch.from_numpy(np.diff(sequences.offsets))
    assert ((moved & ~seen).sum(1) == 5 * (events > 0)).all()
    assert ((moved & seen).sum(1) == seen.sum(1).clamp(max=2)).all()
    old, new = (torch.where(moved, scores.exp(), 0).sum(1) for scores in (before, after))
    assert torch.allclose(old, new, atol=1e-6)
    # What moves is likelier, before, than all of its kind that stays.
    for kind in (seen, ~seen):
        least = before.masked_fill(~(moved & kind), float("inf")).amin(1)
        assert (before.masked_fill(moved | ~kind, float("-inf")).amax(1) <= least).all()


def test_no_expert_and_no_feature_knows_the_future():
    sequences = random_sequences(2, n_items=N_ITEMS)
    ends = (sequences.starts + sequences.offsets[1:] + 1) // 2
    other, other_ends = with_another_future(sequences, ends, seed=3)
    targets = [np.where(np.diff(sequences.offsets) > 3, at - 1, -1) for at in (ends, other_ends)]
    users, found = np.arange(sequences.n_users), []
    for data, at, goal in zip((sequences, other), (ends, other_ends), targets, strict=True):
        experts = of_everything(data, at)
        recommender = unlearnt(experts)
        scores = [expert.logits(data, at, users) for expert in experts.all.values()]
        seen = recommender.examples(data, goal)
        found.append([*scores, recommender.logits(data, at, users), seen.features, seen.targets])
    assert len(found[0][-1]) > 5
    for before, after in zip(*found, strict=True):
        assert np.array_equal(before, after)


def test_nobody_or_only_users_without_events_can_be_asked_about():
    sequences = sequences_of([[1, 2], [], [3], []])
    recommender = unlearnt(of_everything(sequences, sequences.offsets[1:]))
    none = np.zeros(0, dtype=np.int64)
    assert recommender.logits(sequences, none, none).shape == (0, N_ITEMS + 1)
    users = np.array([1, 3])
    scores = recommender.logits(sequences, sequences.offsets[users + 1], users)
    plain = Recommender(recommender.experts, recommender.powers, None)
    assert torch.equal(scores, plain.logits(sequences, sequences.offsets[users + 1], users))


@pytest.mark.parametrize("relative", [False, True])
def test_one_item_is_certain_and_relative_times_do_no_harm(relative):
    sequences = replace(sequences_of([[1], [1, 1], []]), relative=relative)
    experts = make_experts(None, sequences, catalogue(1), sequences.offsets[1:])
    scores = unlearnt(experts).logits(sequences, *everybody(sequences))
    assert torch.allclose(scores[:, 1].exp(), torch.ones(3))
    many = replace(random_sequences(3, n_items=N_ITEMS), relative=relative)
    scores = unlearnt(of_everything(many, many.offsets[1:])).logits(many, *everybody(many))
    assert torch.allclose(scores.exp().sum(1), torch.ones(many.n_users), atol=1e-5)


def test_an_expert_that_the_weights_do_not_know_changes_nothing(fitted):
    sequences, recommender, weights = fitted
    experts = recommender.experts
    more = Experts(
        {"newcomer": experts.prior["texts"], **experts.prior},
        {**experts.further, "another": experts.prior["words"]},
        experts.clock,
    )
    before, after = (
        one.logits(sequences, *everybody(sequences))
        for one in (recommender, weights.recommender(more))
    )
    assert torch.equal(before, after)


@pytest.mark.parametrize("missing", ["words", "last_item"])
def test_a_missing_expert_is_named(fitted, missing):
    _, recommender, weights = fitted
    prior, further = dict(recommender.experts.prior), dict(recommender.experts.further)
    (prior if missing in prior else further).pop(missing)
    fewer = Experts(prior, further, recommender.experts.clock)
    with pytest.raises(ValueError, match=f"learnt for .*'{missing}'.*, but there are") as error:
        weights.recommender(fewer)
    assert f"'{missing}'" not in str(error.value).split("but there are")[1]


@pytest.mark.parametrize("reranked", [True, False])
def test_saved_weights_give_the_same_scores(fitted, reranked, tmp_path):
    sequences, recommender, weights = fitted
    info = PackageInfo(
        version="",
        config={},
        items=[],
        behaviors=[],
        encoder="",
        statistics_version="",
        scaling="z-score",
        data_fingerprint="",
        code_version="",
        trained_through=0,
        best_epoch=0,
        validation_ndcg_at_10=0.0,
        powers=weights.powers,
        features=weights.features,
    )
    model_package.save(ModelPackage(info, {}, {}, weights.reranker if reranked else {}), tmp_path)
    found = model_package.load(tmp_path)
    loaded = Weights(found.info.powers, found.info.features, found.reranker)
    again = loaded.recommender(recommender.experts)
    assert (again.reranker is not None) == reranked
    reranker = recommender.reranker if reranked else None
    before = Recommender(recommender.experts, weights.powers, reranker)
    assert torch.equal(
        again.logits(sequences, *everybody(sequences)),
        before.logits(sequences, *everybody(sequences)),
    )
