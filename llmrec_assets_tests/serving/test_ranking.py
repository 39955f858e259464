"""A batch of unlike requests: each is ranked by its own rules."""

import numpy as np
import pytest

from llmrec_assets.core.reranking import Reranking
from llmrec_assets.serving import ranking
from llmrec_assets.serving.model import EVERYTHING, Model
from llmrec_assets.serving.ranking import Job, rank

NONE = np.zeros(0, dtype=np.int64)


@pytest.fixture(scope="module")
def model(store):
    return Model(store.package())


def job(model, user, filters=EVERYTHING, reranking=ranking.PLAIN, **changes):
    settings = model.snapshot.settings.__class__(**(vars(model.snapshot.settings) | changes))
    return Job(user, (), settings, NONE, f"list-{user}", filters, reranking)


def test_one_of_those_is_listed_however_unlikely(model, monkeypatch):
    monkeypatch.setattr(ranking, "depth_of", lambda k: k)
    whole = rank(model, [job(model, 3, top_k=60)])[0].codes
    last = int(whole[-1])
    wanted = Reranking(always=frozenset([last]))
    found = rank(model, [job(model, 3, top_k=4, reranking=wanted)])[0]
    assert found.codes.tolist() == [*whole[:3].tolist(), last]
    assert 0 < found.probabilities[-1] < found.probabilities[0]


def test_a_varied_list_in_the_batch_changes_no_plain_one(model):
    seen = set(model.seen(5).tolist())
    price = float(model.prices[min(seen)])
    only = ((), price, price)  # nothing unseen is left
    assert set(np.flatnonzero(model.prices == price).tolist()) <= seen
    alone = rank(model, [job(model, 5, only)])[0]
    varied = job(model, 5, only, reranking=Reranking(diversity=0.5))
    both = rank(model, [varied, job(model, 5, only)])
    assert set(alone.codes.tolist()) <= seen and len(alone.codes)
    assert both[1].codes.tolist() == alone.codes.tolist()
    assert not len(both[0].codes)
