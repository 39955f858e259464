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


def test_no_more_is_drawn_than_there_is():
    codes, propensities = draw(PROBABILITIES, CANDIDATES, 9, (1,))
    assert sorted(codes) == [1, 2, 3]
    assert propensities[-1] == pytest.approx(1.0)
