import numpy as np
import pytest

from llmrec_assets.core.exploration import draw, explored_slots

PROBABILITIES = np.array([0.0, 0.5, 0.3, 0.2])
CANDIDATES = np.array([1, 2, 3])


def test_a_share_of_the_slots_is_drawn():
    assert [explored_slots(20, share) for share in (0.0, 0.1, 1.0)] == [0, 2, 20]


def test_the_same_key_draws_the_same_items():
    assert all(
        np.array_equal(a, b)
        for a, b in zip(
            draw(PROBABILITIES, CANDIDATES, 2, (0, "u", "l")),
            draw(PROBABILITIES, CANDIDATES, 2, (0, "u", "l")),
            strict=True,
        )
    )


def test_items_are_drawn_as_often_as_their_propensity_says():
    draws = [draw(PROBABILITIES, CANDIDATES, 2, (0, n)) for n in range(4000)]
    first = np.array([codes[0] for codes, _ in draws])
    for code in CANDIDATES:
        assert (first == code).mean() == pytest.approx(PROBABILITIES[code], abs=0.03)
    for codes, propensities in draws[:50]:
        left = 1 - PROBABILITIES[codes[0]]
        assert propensities == pytest.approx(
            [PROBABILITIES[codes[0]], PROBABILITIES[codes[1]] / left]
        )


def test_every_slot_weighed_by_its_propensity_counts_every_item_once():
    n = 6000
    draws = [draw(PROBABILITIES, CANDIDATES, 2, (1, key), temperature=1.5) for key in range(n)]
    codes = np.array([codes for codes, _ in draws])
    weighed = 1 / np.array([propensities for _, propensities in draws])
    for code in CANDIDATES:
        first = (weighed * (codes == code))[:, 0]
        assert first.mean() == pytest.approx(1, abs=4 * first.std() / n**0.5)
        # The second slot is to be had by every item but the one in the first.
        second = (weighed * (codes == code))[:, 1]
        free = (codes[:, 0] != code).mean()
        assert second.mean() == pytest.approx(free, abs=4 * second.std() / n**0.5)


def test_a_higher_temperature_reaches_items_far_from_the_best():
    probabilities = np.array([0.0, *np.geomspace(0.5, 1e-8, 200)])
    candidates = np.arange(1, 201)

    def reached(temperature):
        return np.unique(
            [draw(probabilities, candidates, 2, (key,), temperature)[0] for key in range(400)]
        )

    assert reached(1.0).max() < 200
    assert len(reached(1.0)) < len(reached(4.0)) < len(reached(1e6))
    even = draw(probabilities, candidates, 2, (0,), 1e6)[1]
    assert even == pytest.approx([1 / 200, 1 / 199], rel=1e-4)


@pytest.mark.parametrize("temperature", [0.1, 1.0, 10.0])
def test_propensities_are_probabilities_beside_an_item_that_has_it_all(temperature):
    probabilities = np.array([0.0, 1.0, 0.0, 1e-30, 1e-7])
    for key in range(50):
        _, propensities = draw(probabilities, np.array([1, 2, 3, 4]), 4, (key,), temperature)
        assert ((propensities > 0) & (propensities <= 1)).all()
        assert propensities[-1] == 1


def test_no_more_is_drawn_than_there_is():
    codes, propensities = draw(PROBABILITIES, CANDIDATES, 9, (1,))
    assert sorted(codes) == [1, 2, 3]
    assert propensities[-1] == pytest.approx(1.0)
