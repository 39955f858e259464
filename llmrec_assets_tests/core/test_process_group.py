"""Processes that share the batches of a training take the steps of one process."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import multiprocessing

from llmrec_assets.core.networks.scoring import NetworkScorer
from llmrec_assets.core.process_group import Share, joined
from llmrec_assets.core.splits import leave_one_out
from llmrec_assets.core.training import fit
from llmrec_assets_tests.core.examples import catalogue, random_sequences, small

USERS, ITEMS, PROCESSES = 60, 20, 3
CASES = {
    "gru": small(dropout=0.3, max_epochs=2),
    "transformer": small(network="transformer", dropout=0.3, max_epochs=2),
    "sampled": small(objective="sampled_softmax", negatives=8, dropout=0.3, max_epochs=2),
    "decay": small(objective="sigmoid", fusion="gate", weight_decay=0.1, max_epochs=2),
    # Most batches have fewer windows than there are processes.
    "tiny batches": small(dropout=0.3, batch_events=4, max_epochs=2),
}


def trained(name):
    """The scores of all users, and the losses and judgements of the epochs."""
    sequences = random_sequences(3, n_users=USERS, n_items=ITEMS, longest=20)
    split = leave_one_out(sequences)
    fitted = fit(sequences, catalogue(ITEMS), CASES[name], split.train_end, split)
    scorer = NetworkScorer(fitted.model)
    scores = scorer.logits(sequences, sequences.offsets[1:], np.arange(USERS))
    return scores, [(e.train_loss, e.validation_ndcg) for e in fitted.learning_curve]


def member(rank, folder):
    for name in CASES:
        with joined(Path(folder, name), Share(rank, PROCESSES)):
            found = trained(name)
        torch.save(found, Path(folder, f"{name}-{rank}.pt"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("members")
    multiprocessing.spawn(member, (str(made),), nprocs=PROCESSES)
    return made


@pytest.mark.parametrize("name", CASES)
def test_three_processes_train_what_one_does(folder, name):
    scores, curve = trained(name)
    first, *others = (torch.load(folder / f"{name}-{rank}.pt") for rank in range(PROCESSES))
    torch.testing.assert_close(first[0], scores, atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.tensor(first[1]), torch.tensor(curve), atol=1e-6, rtol=0)
    for other in others:
        assert torch.equal(other[0], first[0])
        assert other[1] == first[1]


def test_a_share_is_every_so_manieth():
    assert [Share(rank, 3).of(7).tolist() for rank in range(3)] == [[0, 3, 6], [1, 4], [2, 5]]
    assert Share(2, 3).of(2).tolist() == []
    assert Share.own() == Share(0, 1)
