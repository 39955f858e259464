"""A batch of unlike requests: each is ranked by its own rules."""

import asyncio

import numpy as np
import pytest
import torch

from llmrec_assets.core.online import History
from llmrec_assets.core.reranking import Reranking
from llmrec_assets.serving import engine
from llmrec_assets.serving.engine import Job, rank
from llmrec_assets.serving.model import Model

NONE = np.zeros(0, dtype=np.int64)


@pytest.fixture(scope="module")
def model(store):
    return Model(store.package())


def job(model, loop, user, allowed=None, reranking=engine.PLAIN, **changes):
    settings = model.snapshot.settings.__class__(**(vars(model.snapshot.settings) | changes))
    history = History(user)
    return Job(
        model, history, settings, allowed, NONE, f"list-{user}", reranking, loop.create_future()
    )


@pytest.fixture
def loop():
    made = asyncio.new_event_loop()
    yield made
    made.close()


def test_one_of_those_is_listed_however_unlikely(model, loop, monkeypatch):
    monkeypatch.setattr(engine, "depth_of", lambda k: k)
    whole = rank([job(model, loop, 3, top_k=60)])[0].codes
    last = int(whole[-1])
    found = rank([job(model, loop, 3, top_k=4, reranking=Reranking(always=frozenset([last])))])[0]
    assert found.codes.tolist() == [*whole[:3].tolist(), last]
    assert 0 < found.probabilities[-1] < found.probabilities[0]


def test_a_varied_list_in_the_batch_changes_no_plain_one(model, loop):
    seen = set(model.seen(5).tolist())
    only = torch.zeros(model.snapshot.n_items + 1, dtype=torch.bool)
    only[list(seen)] = True  # nothing unseen is left
    alone = rank([job(model, loop, 5, only)])[0]
    varied = job(model, loop, 5, only, reranking=Reranking(diversity=0.5))
    both = rank([varied, job(model, loop, 5, only)])
    assert set(alone.codes.tolist()) <= seen and len(alone.codes)
    assert both[1].codes.tolist() == alone.codes.tolist()
    assert not len(both[0].codes)
