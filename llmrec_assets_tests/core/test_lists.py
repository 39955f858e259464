import numpy as np
import torch

from llmrec_assets.core.lists import ListSettings, list_id, make_lists
from llmrec_assets_tests.core.examples import sequences_of

SEQUENCES = sequences_of([[1, 2], [3], [1, 2, 3, 4, 5, 6]], n_numeric=0)
IDS = ["a", "b", "c"]


class Fixed:
    """Item 6 is best for everybody, item 1 worst."""

    def logits(self, sequences, ends, users):
        row = torch.tensor([float("-inf"), 1, 2, 3, 4, 5, 6])
        return row.repeat(len(users), 1)


def lists(**changes):
    settings = ListSettings(
        **{"top_k": 4, "exclude_seen": True, "exploration": 0.0, "seed": 0} | changes
    )
    blocks = list(make_lists(Fixed(), SEQUENCES, IDS, settings))
    return {
        name: np.concatenate([getattr(block, name) for block in blocks])
        for name in (
            "users",
            "ranks",
            "codes",
            "probabilities",
            "propensities",
            "explored",
            "repeated",
        )
    }


def test_lists_hold_the_best_unseen_items_in_order():
    made = lists()
    assert made["codes"][made["users"] == 0].tolist() == [6, 5, 4, 3]
    assert made["codes"][made["users"] == 1].tolist() == [6, 5, 4, 2]
    assert made["ranks"].tolist() == [1, 2, 3, 4] * 3
    assert (made["propensities"] == 1).all()


def test_who_has_seen_everything_gets_the_best_items_again():
    made = lists()
    assert made["codes"][made["users"] == 2].tolist() == [6, 5, 4, 3]
    assert made["repeated"].tolist() == [False] * 8 + [True] * 4


def test_a_list_of_the_whole_catalogue_has_all_probability():
    made = lists(top_k=9, exclude_seen=False)
    assert made["ranks"].max() == 6
    assert np.allclose(made["probabilities"][made["users"] == 0].sum(), 1)


def test_explored_slots_are_the_last_and_keep_to_unseen_items():
    made = lists(exploration=0.5)
    assert made["explored"].tolist() == [False, False, True, True] * 3
    mine = made["codes"][made["users"] == 0]
    assert mine[:2].tolist() == [6, 5]
    assert set(mine[2:]) == {3, 4}
    assert (made["propensities"][made["explored"]] <= 1).all()


def test_a_list_id_depends_on_all_that_makes_the_list():
    settings = ListSettings(4, True, 0.0, 0)
    base = list_id("u", "m", "d", settings)
    assert base == list_id("u", "m", "d", ListSettings(4, True, 0.0, 0))
    others = [
        list_id("v", "m", "d", settings),
        list_id("u", "n", "d", settings),
        list_id("u", "m", "e", settings),
        list_id("u", "m", "d", ListSettings(5, True, 0.0, 0)),
    ]
    assert len({base, *others}) == 5
