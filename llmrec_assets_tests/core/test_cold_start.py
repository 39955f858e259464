"""Users and items of whom next to nothing is known."""

from dataclasses import replace

import numpy as np
import pytest

from llmrec_assets.core.ranking import top_k
from llmrec_assets.core.recommender import Recommender, fit_weights, make_experts
from llmrec_assets.core.sequences import Catalogue, Sequences
from llmrec_assets.core.splits import leave_one_out
from llmrec_assets.core.training import fit
from llmrec_assets_tests.core.examples import sequences_of, small
from llmrec_assets_tests.core.test_recommender import KINDS, N_ITEMS, goods, shop

UNSEEN = 37, 38, 39, 40  # one of each kind


def kind_of(items: np.ndarray) -> np.ndarray:
    return (items - 1) % len(KINDS)


def told() -> Catalogue:
    """Words and vectors that say, among other things, of which kind an item is."""
    plain = goods()
    kinds = 2 * np.eye(plain.embeddings.shape[1], dtype=np.float32)
    vectors = plain.embeddings + kinds[kind_of(np.arange(1, N_ITEMS + 1))]
    return replace(plain, n_behaviors=1, embeddings=vectors)


@pytest.fixture(scope="module")
def served() -> tuple[Sequences, Recommender]:
    """A shop in which four items are untouched, then a user of one event for every item.

    Weights learnt on validation targets, the rest fitted on all events, as what serves is.
    """
    known = shop()
    users = np.split(known.items, known.offsets[1:-1])
    times = np.split(known.times, known.offsets[1:-1])
    kept = [~np.isin(own, UNSEEN) for own in users]
    newest = int(known.times.max())
    sequences = sequences_of(
        [own[k].tolist() for own, k in zip(users, kept, strict=True)]
        + [[item] for item in range(1, N_ITEMS + 1)],
        [own[k].tolist() for own, k in zip(times, kept, strict=True)] + [[newest]] * N_ITEMS,
    )
    split, catalogue = leave_one_out(sequences), told()
    model = fit(sequences, catalogue, small(max_epochs=5), split.train_end, split).model
    experts = make_experts(model, sequences, catalogue, split.train_end)
    weights = fit_weights(experts, sequences, split.validation, seed=0)
    assert weights.reranker
    everything = sequences.offsets[1:]
    newest = fit(sequences, catalogue, small(max_epochs=5), everything, epochs=5).model
    return sequences, weights.recommender(make_experts(newest, sequences, catalogue, everything))


def lists(served: tuple[Sequences, Recommender], k: int) -> tuple[np.ndarray, np.ndarray]:
    """(the one item of each user, its list): int64 [N_ITEMS] and [N_ITEMS, k]."""
    sequences, recommender = served
    users = np.arange(sequences.n_users - N_ITEMS, sequences.n_users)
    codes = top_k(recommender, sequences, users, k).codes.numpy()
    return sequences.items[sequences.starts[users]].astype(np.int64), codes


def test_one_event_is_enough_for_a_list_of_the_like(served):
    items, codes = lists(served, 9)
    like = kind_of(codes) == kind_of(items)[:, None]
    random = (N_ITEMS / len(KINDS) - 1) / (N_ITEMS - 1)
    untouched = np.isin(items, UNSEEN)  # by anybody but this user
    assert like[~untouched].mean() > 3 * random
    assert like[untouched].mean() > 1.5 * random  # only its text says what they may like


def test_an_item_that_nobody_touched_is_ranked_by_its_text(served):
    items, codes = lists(served, N_ITEMS - 1)
    place = {item: (codes == item).argmax(1) for item in UNSEEN}
    for item in UNSEEN:
        others = items != item
        like = others & (kind_of(items) == kind_of(np.array(item)))
        assert place[item][like].mean() < place[item][others & ~like].mean()
