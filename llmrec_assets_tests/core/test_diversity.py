"""Lists between model and user: what always holds, and what each setting is for."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrec_assets.core.diversity import Pool, rerank
from llmrec_assets.core.item_traits import UNKNOWN_TIME, ItemTraits
from llmrec_assets.core.reranking import Reranking, candidates

V = 30
NOBODY = np.zeros(0, np.int64)  # a history without events
shares = st.sampled_from([0.0, 0.1, 0.5, 1.0])
some_codes = st.frozensets(st.integers(1, V), max_size=6)
rerankings = st.builds(
    Reranking,
    diversity=shares,
    calibration=shares,
    long_tail=shares,
    freshness=shares,
    max_per_category=st.none() | st.integers(1, 3),
    never=some_codes,
    always=some_codes,
)


@st.composite
def worlds(draw):
    """Items, one user's candidates with scores that often tie, and a history."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    vectors = rng.normal(size=(V + 1, draw(st.sampled_from([0, 1, 4])))).astype(np.float32)
    vectors[rng.random(V + 1) < 0.2] = 0
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors /= np.where(lengths > 0, lengths, 1)
    times = rng.integers(-5, 50, V + 1)
    times[rng.random(V + 1) < 0.2] = UNKNOWN_TIME
    traits = ItemTraits.of(vectors, rng.integers(0, 4, V + 1), rng.poisson(2, V + 1), times)
    codes = rng.permutation(V)[: draw(st.integers(0, V))] + 1
    scores = -rng.integers(0, 8, len(codes)) / 2.0
    scores[rng.random(len(codes)) < 0.1] = -np.inf
    history = rng.integers(1, V + 1, draw(st.integers(0, 9)))
    return codes, scores.astype(np.float32), traits, history


@given(worlds(), rerankings, st.integers(0, 12))
@settings(max_examples=400, deadline=None)
def test_rules_hold_whatever_else_is_asked(world, asked, k):
    codes, scores, traits, _ = world
    places = rerank(*world, asked, k)
    listed = codes[places]
    assert len(set(places.tolist())) == len(places) <= k
    assert (scores[places] > -np.inf).all()
    assert not set(listed.tolist()) & asked.never
    possible = {c for c, s in zip(codes.tolist(), scores, strict=True) if s > -np.inf}
    possible -= asked.never
    if k and asked.always & possible:
        assert asked.always & set(listed.tolist())
    counts = np.bincount(traits.categories[listed], minlength=4)
    limit = asked.max_per_category or V
    assert (counts[1:] <= limit).all()
    if len(places) < k:  # short only where every other candidate is one too many of its category
        left = np.array(sorted(possible - set(listed.tolist())), dtype=np.int64)
        assert (counts[traits.categories[left]] >= limit).all()
        assert not (traits.categories[left] == 0).any()


@given(worlds(), shares, st.integers(1, 12))
@settings(max_examples=200, deadline=None)
def test_every_beginning_of_a_list_has_its_share_of_the_tail(world, share, k):
    codes, scores, traits, _ = world
    listed = codes[rerank(*world, Reranking(diversity=0.5, long_tail=share), k)]
    there = int(traits.tail[codes[scores > -np.inf]].sum())
    so_far = np.cumsum(traits.tail[listed])
    for n in range(1, len(listed) + 1):
        assert so_far[n - 1] >= min(int(share * n + 1e-9), there)


@given(worlds(), st.integers(0, 12))
@settings(max_examples=200, deadline=None)
def test_defaults_and_rules_alone_keep_the_models_order(world, k):
    codes, scores, _, _ = world
    ordered = sorted(
        (p for p in range(len(codes)) if scores[p] > -np.inf), key=lambda p: (-scores[p], codes[p])
    )
    assert rerank(*world, Reranking(), k).tolist() == ordered[:k]
    never = frozenset(codes[ordered[:2]].tolist())
    kept = rerank(*world, Reranking(never=never), k)
    assert kept.tolist() == ordered[len(never) :][:k]


@given(worlds(), rerankings, st.integers(0, 12), st.randoms())
@settings(max_examples=200, deadline=None)
def test_the_order_in_which_candidates_come_does_not_matter(world, asked, k, random):
    codes, scores, traits, history = world
    order = list(range(len(codes)))
    random.shuffle(order)
    shuffled = (codes[order], scores[order], traits, history)
    assert (codes[order][rerank(*shuffled, asked, k)] == codes[rerank(*world, asked, k)]).all()


def test_it_is_the_greedy_list_of_the_formula():
    rng = np.random.default_rng(5)
    vectors = rng.normal(size=(V + 1, 6)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    traits = ItemTraits.of(vectors, rng.integers(0, 4, V + 1), None, rng.integers(0, 99, V + 1))
    codes, scores = rng.permutation(V) + 1, np.sort(-rng.exponential(1.0, V))[::-1]
    history = rng.integers(1, V + 1, 12)
    asked = Reranking(diversity=0.4, calibration=0.3, freshness=0.2)

    def divergence(listed):
        kinds, own = traits.categories[history], traits.categories[listed]
        total = 0.0
        for kind in set(kinds.tolist()) - {0}:
            p = (kinds == kind).sum() / (kinds > 0).sum()
            total += p * np.log(p / (0.99 * (own == kind).sum() / len(listed) + 0.01 * p))
        return total

    def gain(code, score, listed):
        like = max([0.0, *(float(vectors[code] @ vectors[other]) for other in listed)])
        relevance = (score - scores.max()) / 4 + 0.2 * traits.freshness[code]
        return 0.7 * (0.6 * relevance - 0.4 * like) - 0.3 * divergence([*listed, code])

    listed = []
    for _ in range(8):
        left = [(c, s) for c, s in zip(codes.tolist(), scores, strict=True) if c not in listed]
        listed.append(max(left, key=lambda pair: gain(*pair, listed))[0])
    assert codes[rerank(codes, scores, traits, history, asked, 8)].tolist() == listed


def test_more_diversity_makes_lists_less_alike_and_less_likely():
    rng = np.random.default_rng(1)
    topics = rng.normal(size=(6, 8))
    vectors = topics[rng.integers(0, 6, 201)] + 0.3 * rng.normal(size=(201, 8))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    likely = -np.sort(rng.exponential(2, 200))
    pool = Pool(np.arange(1, 201), likely, ItemTraits.of(vectors), NOBODY)
    scores = np.append(0.0, pool.relevance)

    def measures(weight):
        listed = pool.listed(Reranking(diversity=weight), 10) + 1
        nearest = max(float(vectors[a] @ vectors[b]) for a, b in combinations(listed, 2))
        return nearest, scores[listed].mean()

    found = np.array([measures(weight) for weight in (0.0, 0.3, 1.0)])
    assert (np.diff(found, axis=0) < 0).all()


def test_categories_come_in_the_proportions_of_the_history():
    traits = ItemTraits.of(np.zeros((41, 0), np.float32), np.append(0, np.repeat([1, 2, 3, 4], 10)))
    history = np.array([1] * 5 + [11] * 3 + [21] * 2)
    codes, scores = np.arange(1, 41), -np.arange(40) / 10
    listed = rerank(codes, scores, traits, history, Reranking(calibration=0.95), 10)
    assert np.bincount(traits.categories[codes[listed]], minlength=5).tolist() == [0, 5, 3, 2, 0]
    assert rerank(codes, scores, traits, history[:0], Reranking(calibration=1.0), 5).tolist() == [
        0, 1, 2, 3, 4
    ]  # fmt: skip


def test_items_without_text_are_unlike_all_and_without_category_unlimited():
    vectors = np.array([[0, 0], [1, 0], [1, 0], [0, 0], [0, 0]], dtype=np.float32)
    traits = ItemTraits.of(vectors, np.array([0, 1, 1, 0, 0]))
    codes, scores = np.arange(1, 5), np.array([-1.0, -1.1, -1.2, -1.3])
    varied = rerank(codes, scores, traits, NOBODY, Reranking(diversity=0.5), 4)
    assert codes[varied].tolist() == [1, 3, 4, 2]
    limited = rerank(codes, scores, traits, NOBODY, Reranking(max_per_category=1), 4)
    assert codes[limited].tolist() == [1, 3, 4], "shorter than asked rather than against the rule"


def test_fresh_items_rise():
    traits = ItemTraits.of(
        np.zeros((4, 0), np.float32), None, None, np.array([0, 10, UNKNOWN_TIME, 30])
    )
    codes, scores = np.array([1, 2, 3]), np.array([-1.0, -1.0, -1.5])
    assert rerank(codes, scores, traits, NOBODY, Reranking(), 3).tolist() == [0, 1, 2]
    assert rerank(codes, scores, traits, NOBODY, Reranking(freshness=0.5), 3).tolist() == [2, 0, 1]


def test_candidates_are_the_likeliest_and_those_wanted_always():
    scores = np.array([5.0, 1.0, -np.inf, 3.0, 3.0, 0.0, -2.0])
    codes, kept = candidates(scores, 2, Reranking())
    assert (codes.tolist(), kept.tolist()) == ([3, 4], [3.0, 3.0])
    asked = Reranking(never=frozenset({3, 99}), always=frozenset({2, 6, 4, 99}))
    codes, kept = candidates(scores, 2, asked)
    assert (codes.tolist(), kept.tolist()) == ([4, 1, 6], [3.0, 1.0, -2.0])
    assert candidates(scores, 99, Reranking())[0].tolist() == [3, 4, 1, 5, 6]
    assert scores[3] == 3.0, "the caller's scores stay"


@pytest.mark.parametrize(
    "wrong", [{"diversity": 1.5}, {"freshness": float("nan")}, {"max_per_category": 0}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Reranking(**wrong)
