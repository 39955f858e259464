import numpy as np
import torch

from llmrec_assets.core import candidates
from llmrec_assets.core.candidates import feature_names, find_candidates
from llmrec_assets.core.item_clock import ItemClock
from llmrec_assets_tests.core.examples import sequences_of


def test_the_likeliest_new_and_seen_items_are_found_with_what_is_known(monkeypatch):
    monkeypatch.setattr(candidates, "UNSEEN", 2)
    monkeypatch.setattr(candidates, "SEEN", 1)
    day = 86_400_000_000
    sequences = sequences_of([[1, 2, 1, 3], [], [4]], [[0, day, 3 * day, 3 * day], [], [0]])
    clock = ItemClock(sequences, 6, sequences.offsets[1:])
    prior = torch.tensor([[0.1, 0.3, 0.05, 0.2, 0.25, 0.1]] * 3).log()
    users = np.arange(3)
    found = find_candidates(
        prior, {"expert": prior}, clock, sequences, sequences.offsets[1:], users
    )
    pairs = list(zip(found.rows.tolist(), found.codes.tolist(), strict=True))
    # Of user 0, item 2 is the likeliest seen one; user 1 has no history; user 2 has seen item 4.
    assert pairs == [(0, 2), (0, 4), (0, 5), (2, 2), (2, 4), (2, 5)]
    names = feature_names({"expert": None})
    assert found.features.shape == (6, len(names))
    known = {name: found.features[:, column] for column, name in enumerate(names)}
    assert torch.equal(known["prior"], prior[found.rows, found.codes - 1])
    assert torch.allclose(known["times_seen"].expm1(), torch.tensor([1.0, 0, 0, 0, 1, 0]))
    assert torch.allclose(known["steps_since_seen"].expm1(), torch.tensor([3.0, 0, 0, 0, 1, 0]))
    assert torch.allclose(known["history_length"].expm1(), torch.tensor([4.0] * 3 + [1.0] * 3))
    assert torch.allclose(known["share_at_last_time"], torch.tensor([0.5] * 3 + [1.0] * 3))
    assert torch.allclose(known["last_gap"], torch.zeros(6))
    assert known["events"][0].expm1() == 1  # item 2, once before the last moment
