"""What a table of utilities shows, on tables whose answers are known."""

import numpy as np
import pandas as pd
import pytest

from llmrec_assets.core.loop_utility import by_cycle, claims, longest_run, lower_end

TURNS = 2
LOOP = [2.0, 2.0, 1.0, 1.4, 1.8, 1.9]
FROZEN = [2.0, 2.0, 1.0, 1.0, 1.0, 1.0]
POPULARITY = [1.0, 1.0, 1.1, 0.5, 0.5, 0.5]


def table(loop=LOOP, frozen=FROZEN, popularity=POPULARITY, seeds=5):
    arms = {"loop": loop, "frozen": frozen, "popularity": popularity}
    rows = [
        ("tuning", seed, cycle, arm, value + 0.01 * seed * (arm == "loop"))
        for seed in range(seeds)
        for arm, values in arms.items()
        for cycle, value in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=["parameters", "seed", "cycle", "arm", "utility"])


def told(rows):
    return {claim.claim: claim for claim in claims(rows, TURNS)}


def test_what_is_shown_comes_with_its_numbers():
    found = told(table())
    assert all(claim.shown for claim in found.values())
    assert found["drift_costs_the_frozen_model"].value == pytest.approx(0.5)
    assert found["the_loop_wins_it_back"].value == pytest.approx(0.9)
    assert "90% ± 0%" in found["the_loop_wins_it_back"].says
    lead = np.mean(LOOP[1:]) - np.mean(FROZEN[1:]) + 0.02
    assert 0 < found["the_loop_is_above_the_frozen_model"].value < lead
    assert found["never_below_popularity_twice_in_a_row"].value == 1


@pytest.mark.parametrize(
    ("changed", "claim"),
    [
        ({"frozen": [2.0, 2.0, 1.6, 1.5, 1.5, 1.5]}, "drift_costs_the_frozen_model"),
        ({"loop": [2.0, 2.0, 1.0, 1.1, 1.2, 1.7]}, "the_loop_wins_it_back"),
        ({"loop": FROZEN, "seeds": 1}, "the_loop_is_above_the_frozen_model"),
        ({"loop": [2.0, 2.0, 1.0, 0.4, 0.4, 1.9]}, "never_below_popularity_twice_in_a_row"),
    ],
)
def test_what_fell_short_is_not_shown(changed, claim):
    assert not told(table(**changed))[claim].shown


def test_a_lead_within_the_noise_of_the_seeds_is_none():
    assert lower_end(np.array([1.0, -1.0, 1.0, -1.0, 0.5])) < 0
    assert lower_end(np.array([1.0, 1.1, 0.9, 1.0, 1.0])) > 0.8
    assert np.isnan(lower_end(np.array([1.0])))


def test_means_and_spreads_are_over_seeds():
    cycles = by_cycle(table()).set_index(["arm", "cycle"])
    assert cycles.loc[("loop", 0), "mean"] == pytest.approx(2.02)
    assert cycles.loc[("loop", 0), "spread"] == pytest.approx(np.std(np.arange(5) * 0.01))
    assert cycles.loc[("frozen", 3), "spread"] == pytest.approx(0)
    assert (cycles["seeds"] == 5).all()


def test_the_longest_run_is_of_one_row():
    rows = pd.DataFrame([[True, False, True, True], [False, True, False, False]])
    assert longest_run(rows) == 2
    assert longest_run(~rows.astype(bool) & False) == 0
