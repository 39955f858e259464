"""Planted gains are told apart, and what is not sure is not claimed."""

import numpy as np
import pytest

from llmrec_assets.core.ablation import (
    Outcome,
    seed_table,
    slice_table,
    slices_of,
    table,
    verdict,
)
from llmrec_assets.core.ablation_plot import ablation_plot

USERS = 400
AGAINST = ("ids_only", "default")
QUESTIONS = {"texts": ("default", "ids_only"), "words": ("words_only", "ids_only")}


def outcome(level: float, cost: float, seeds: int = 2, noise: float = 0.0, **more: object):
    """Everybody gains `level`, give or take `noise` of each user's own."""
    rng = np.random.default_rng(int(1000 * level + cost))
    own = level + noise * rng.normal(size=(1, USERS, 1))
    by_seed = np.arange(seeds)[:, None, None] * 0.02  # the second seed is better by so much
    gains = np.broadcast_to(own + by_seed, (seeds, USERS, 4)).copy()
    return Outcome(gains, cost, **more)


def planted(**more: object):
    return {
        "ids_only": outcome(0.10, 10),
        "words_only": outcome(0.199, 20, noise=0.1),
        "default": outcome(0.20, 100, noise=0.1),
        "gate": outcome(0.201, 50, noise=0.1, **more),
        "shuffled_texts": outcome(0.30, 1, placebo=True),
    }


def test_the_cheapest_that_is_not_surely_worse_is_named_and_placebos_are_not():
    found = verdict(planted(), QUESTIONS)
    assert found.best in {"words_only", "default", "gate"}
    assert found.cheapest == "words_only"
    assert "the cheapest" in found.sentences[0]
    assert verdict(planted() | {"default": outcome(0.4, 100)}, QUESTIONS).cheapest == "default"


def test_encoding_is_a_cost():
    dear = {"words_only": outcome(0.2, 20), "vectors_only": outcome(0.2, 5, encoding_seconds=16)}
    assert verdict(dear, {}).cheapest == "words_only"


@pytest.mark.parametrize(
    ("level", "noise", "said"),
    [(0.20, 0.1, "help"), (0.10, 0.1, "add nothing here that is sure"), (0.02, 0.1, "hurt")],
)
def test_it_says_plainly_whether_texts_help(level, noise, said):
    outcomes = {"ids_only": outcome(0.10, 10), "default": outcome(level, 100, noise=noise)}
    _, sentence = verdict(outcomes, QUESTIONS).sentences  # words_only was not measured
    assert sentence.startswith(f"texts {said}")
    assert "default less ids_only" in sentence


def test_the_table_compares_every_variant_with_both_by_slice():
    counts = np.repeat([0, 3, 50], [100, 100, 200])
    rows = table(planted(), counts, AGAINST)
    everybody = rows[rows["slice"] == "all"].set_index(["scorer", "variant"])
    default = everybody.loc[("served", "default")]
    assert default["less_ids_only_difference"] == pytest.approx(0.1, abs=0.02)
    assert 0 < default["less_ids_only_lower"] < default["less_ids_only_difference"]
    assert np.isnan(default["less_default_lower"])
    assert everybody.loc[("served", "ids_only"), "ndcg"] == pytest.approx(0.11)
    assert everybody.loc[("served", "ids_only"), "ndcg_spread"] == pytest.approx(0.02 / 2**0.5)
    assert rows.groupby("slice")["users"].first().to_dict() == {
        "all": 400,
        "cold": 100,
        "few": 100,
        "warm": 200,
    }
    assert slice_table(rows).columns[1:3].tolist() == ["served, cold (100)", "network, cold (100)"]
    assert set(everybody["cpu_seconds"]) == {10, 20, 100, 50, 1}


def test_a_variant_without_a_network_has_no_row_of_it():
    outcomes = planted()
    outcomes["default"].gains[..., 2:] = np.nan
    rows = table(outcomes, np.ones(USERS, int), AGAINST)
    assert len(rows[(rows["variant"] == "default") & (rows["scorer"] == "network")]) == 0
    network = rows[rows["scorer"] == "network"]
    assert network["less_default_lower"].isna().all()
    assert network["less_ids_only_lower"].notna().any()
    assert set(rows["slice"]) == {"all", "few"}


def test_targets_are_cold_with_no_event_and_few_up_to_five():
    found = slices_of(np.array([0, 1, 5, 6]))
    assert {name: np.flatnonzero(inside).tolist() for name, inside in found.items()} == {
        "all": [0, 1, 2, 3],
        "cold": [0],
        "few": [1, 2],
        "warm": [3],
    }


def test_seeds_have_a_mean_and_a_spread():
    rows = seed_table(outcome(0.1, 1), [5, 6]).set_index("seed")
    assert rows.index.tolist() == ["5", "6", "mean", "spread"]
    assert rows["served_ndcg"].tolist() == pytest.approx([0.1, 0.12, 0.11, 0.02 / 2**0.5])


def test_the_plot_draws_every_variant_and_the_intervals():
    figure = ablation_plot(table(planted(), np.ones(USERS, int), AGAINST), "ids_only")
    scores, differences = figure.axes
    assert len(scores.get_yticklabels()) == len(planted())
    assert [len(lines.get_segments()) for lines in differences.collections] == [5, 5]
