"""Counts by blocks are those of all at once; a share of the users stands for too many."""

import numpy as np
import pytest

from llmrec_assets.core import counting
from llmrec_assets.core.baselines import DecayedMarkov, item_popularity
from llmrec_assets.core.counting import blocks_before, counted_ends, occurrences, user_blocks
from llmrec_assets.core.memory import ranking_memory
from llmrec_assets.core.recommender import make_experts
from llmrec_assets.core.sequences import flat_rows
from llmrec_assets.core.splits import leave_one_out, seen_before
from llmrec_assets_tests.core.examples import catalogue, random_sequences, sequences_of, small


@pytest.fixture(params=[1, 5, 10_000])
def block(request, monkeypatch):
    """Events looked at together, also fewer than a user has."""
    defaults = (*counting.user_blocks.__defaults__[:-1], request.param)
    monkeypatch.setattr(counting.user_blocks, "__defaults__", defaults)
    return request.param


@pytest.mark.parametrize("seed", range(3))
def test_blocks_are_all_events_in_order(block, seed):
    sequences = random_sequences(seed, n_users=50)
    ends = leave_one_out(sequences).train_end
    assert sum(1 for _ in user_blocks(sequences)) > 1 or block == 10_000
    whole, _ = flat_rows(sequences.starts, ends)
    assert np.concatenate(list(blocks_before(sequences, ends))).tolist() == whole.tolist()
    counts = occurrences(sequences, sequences.items, ends, 9)
    assert counts.tolist() == np.bincount(sequences.items[whole], minlength=9).tolist()
    liked = whole[sequences.positive[whole]]
    wanted = np.bincount(sequences.items[liked], minlength=9)[1:] + 0.5
    assert item_popularity(sequences, 8, ends) == pytest.approx(wanted / wanted.sum())


def test_no_user_and_users_without_events(block):
    for histories in ([], [[], []], [[], [1], []]):
        sequences = sequences_of(histories)
        n = sum(map(len, histories))
        counts = occurrences(sequences, sequences.items, sequences.offsets[1:], 3)
        assert counts.sum() == n


def test_who_saw_the_target_before(block):
    sequences = sequences_of([[1, 2, 1], [1, 2, 3], [2, 2], [3]])
    targets = np.array([2, 5, 7, -1])
    assert seen_before(sequences, targets).tolist() == [True, False, True, False]


def test_a_share_of_the_users_is_counted_where_all_are_too_many(monkeypatch):
    sequences = random_sequences(4, n_users=400)
    ends = sequences.offsets[1:]
    assert counted_ends(sequences, ends, 8) is ends
    monkeypatch.setattr(counting, "MOST_EVENTS", len(sequences.items) // 4)
    counted = counted_ends(sequences, ends, 8)
    kept = counted > sequences.starts
    assert set(counted[kept]) <= set(ends) and (counted >= sequences.starts).all()
    assert 0.1 < kept.sum() / (ends > sequences.starts).sum() < 0.4
    assert counted.tolist() == counted_ends(sequences, ends, 8).tolist()


def test_experts_count_that_share_and_know_every_item(monkeypatch):
    sequences, goods = random_sequences(4, n_users=400), catalogue(8)
    ends = sequences.offsets[1:]
    monkeypatch.setattr(counting, "MOST_TIES", 20)
    counted = counted_ends(sequences, ends, 8)
    experts = make_experts(None, sequences, goods, ends)
    wanted = DecayedMarkov(sequences, 8, counted).transitions
    assert (experts.prior["decayed_markov"].transitions != wanted).nnz == 0
    assert experts.clock.n == sequences.positive[flat_rows(sequences.starts, counted)[0]].sum()
    users = np.arange(400)
    assert experts.prior["texts"].logits(sequences, ends, users).isfinite()[:, 1:].all()


def test_events_in_files_are_no_memory(tmp_path):
    sequences = random_sequences(1, n_users=3000, longest=60)
    file = np.memmap(tmp_path / "times", np.int64, "w+", shape=sequences.times.shape)
    file[:] = sequences.times
    moved = type(sequences)(**{**vars(sequences), "times": file})
    held, mapped = (ranking_memory(small(), one, catalogue(8), 9) for one in (sequences, moved))
    assert held - mapped == 3 * file.nbytes
