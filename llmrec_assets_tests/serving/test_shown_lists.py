"""Which lists the service remembers, and for how long."""

import pytest

from llmrec_assets.serving.journal import Record
from llmrec_assets.serving.model import Model
from llmrec_assets.serving.shown_lists import ShownLists


@pytest.fixture(scope="module")
def model(store):
    return Model(store.package())


def named(shown, *lists, user="u"):
    told = [Record("feedback", "", {"list_id": name, "user_id": user}) for name in lists]
    return [record.content["list_id"] for record in shown.named_by(told)]


def test_the_lists_shown_longest_ago_are_forgotten(model):
    slots = model.cold.where(slice(10))
    for limits in ({"most": 2}, {"most_slots": 25}):
        shown = ShownLists(**limits)
        for name in ("a", "b", "a", "c"):
            shown.add(model, name, "u", slots)
        assert shown.slots == 20
        assert named(shown, "a", "b", "c", "a") == ["a", "c"]


def test_a_list_belongs_to_its_user_and_that_of_nobody_to_whoever_answers(model):
    shown = ShownLists()
    shown.add(model, "own", "u", model.cold.where(slice(3)))
    shown.add(model, "nobody's", None, model.cold.where(slice(3)))
    shown.add(model, "empty", "u", model.cold.where(slice(0)))
    assert named(shown, "own", "nobody's", "empty", "unknown") == ["nobody's", "own"]
    assert named(shown, "own", "nobody's", user="v") == ["nobody's"]
