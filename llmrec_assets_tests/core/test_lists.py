import numpy as np
import pytest
import torch

from llmrec_assets.core.item_traits import ItemTraits
from llmrec_assets.core.lists import Hidden, ListSettings, list_id, make_lists, recommend
from llmrec_assets_tests.core.examples import sequences_of

SEQUENCES = sequences_of([[1, 2], [3], [1, 2, 3, 4, 5, 6]], n_numeric=0)
IDS = ["a", "b", "c"]


class Fixed:
    """Item 6 is best for everybody, item 1 worst."""

    def logits(self, sequences, ends, users):
        row = torch.tensor([float("-inf"), 1, 2, 3, 4, 5, 6])
        return row.repeat(len(users), 1)


def lists(hidden=(), ids=IDS, sequences=SEQUENCES, **changes):
    settings = ListSettings(
        **{"top_k": 4, "exclude_seen": True, "exploration": 0.0, "seed": 0} | changes
    )
    pairs = np.array(hidden, dtype=np.int64).reshape(-1, 2)
    without = Hidden.of(sequences.n_users, pairs[:, 0], pairs[:, 1])
    blocks = list(make_lists(Fixed(), sequences, ids, settings, without))
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


def test_a_list_with_diversity_goes_on_with_what_is_unlike():
    vectors = np.zeros((7, 2), dtype=np.float32)
    vectors[[6, 5, 4]], vectors[[3, 2, 1]] = [1, 0], [0, 1]
    settings = ListSettings(4, True, 0.0, 0, diversity=0.9)
    hidden, nobody = Hidden.none(3), np.array([1])
    asked = (Fixed(), SEQUENCES, nobody, IDS[1:2], settings, hidden)
    made = recommend(*asked, ItemTraits.of(vectors))
    assert made.codes.tolist() == [6, 2, 5, 4], "3 is seen; then likeness is all the same"
    with pytest.raises(ValueError, match="traits"):
        recommend(*asked)


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
        list_id("u", "m", "d", ListSettings(4, True, 0.0, 1)),
        list_id("u", "m", "d", settings, ["i"]),
    ]
    assert len({base, *others}) == 7


@pytest.mark.parametrize("seed", range(20))
def test_a_hidden_item_is_never_shown_whatever_else_is_asked_for(seed):
    rng = np.random.default_rng(seed)
    hidden = [(user, item) for user in range(3) for item in range(1, 7) if rng.random() < 0.4]
    hidden = [pair for pair in hidden if pair[1] != 1 + seed % 6]  # never all of them
    order = rng.permutation(len(hidden))
    made = lists(
        hidden=[hidden[place] for place in order],
        top_k=int(rng.integers(1, 8)),
        exclude_seen=bool(seed % 2),
        exploration=float(rng.random()),
        seed=seed,
    )
    shown = set(zip(made["users"].tolist(), made["codes"].tolist(), strict=True))
    assert not shown & set(hidden)
    assert set(made["users"]) == {0, 1, 2}


def test_who_hides_everything_still_has_a_list():
    made = lists(hidden=[(0, item) for item in range(1, 7)])
    assert made["codes"][made["users"] == 0].tolist() == [6, 5, 4, 3]
    assert made["repeated"][made["users"] == 0].all()


def test_who_has_seen_all_but_hidden_items_gets_seen_ones_again():
    made = lists(hidden=[(2, 6), (0, 6), (0, 5), (0, 4), (0, 3)])
    assert made["codes"][made["users"] == 2].tolist() == [5, 4, 3, 2]
    assert made["codes"][made["users"] == 0].tolist() == [2, 1]


def test_drawn_slots_hold_items_as_often_as_their_propensities_say():
    users = 6000
    sequences = sequences_of([[1]] * users, n_numeric=0)
    ids = [f"list {n}" for n in range(users)]
    made = lists(ids=ids, sequences=sequences, exploration=0.5, temperature=2.0)
    codes, chances = made["codes"].reshape(-1, 4), made["propensities"].reshape(-1, 4)
    assert (codes[:, :2] == [6, 5]).all()
    assert (chances[:, :2] == 1).all()
    weights = np.exp(np.arange(7) / 2.0)  # of scores 1 to 6 at temperature 2
    left = weights[[2, 3, 4]].sum()
    for third in (2, 3, 4):
        drawn = codes[:, 2] == third
        chance = weights[third] / left
        assert drawn.mean() == pytest.approx(chance, abs=4 * 0.5 / users**0.5)
        assert chances[drawn, 2] == pytest.approx(chance, rel=1e-4)
        for fourth in {2, 3, 4} - {third}:
            both = drawn & (codes[:, 3] == fourth)
            given = weights[fourth] / (left - weights[third])
            assert both.sum() / drawn.sum() == pytest.approx(
                given, abs=4 * 0.5 / drawn.sum() ** 0.5
            )
            assert chances[both, 3] == pytest.approx(given, rel=1e-4)
