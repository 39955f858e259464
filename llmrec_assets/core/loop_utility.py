"""What the cycles of simulated loops prove, and what they do not.

Pure: a table of true utilities in, sentences with numbers out. A seed is one truth with one loop;
arms of a seed are measured on the same users at the same moments, so differences are paired.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

# Half-widths of 95 % intervals in standard errors, by the number of seeds (Student 1908).
STUDENT = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26}
WIN_BACK_WITHIN = 3  # cycles after the first with the change
COST, WON_BACK = 0.3, 0.8  # what is to be shown


@dataclass(frozen=True)
class Claim:
    """One thing that was to be shown on one set of parameters."""

    parameters: str
    claim: str
    value: float
    threshold: float
    shown: bool
    says: str


def by_cycle(table: pd.DataFrame) -> pd.DataFrame:
    """Mean and spread over seeds.

    Args:
        table: columns parameters, seed, cycle, arm and utility.

    Returns:
        Columns parameters, cycle, arm, mean, spread (standard deviation, 0 for one seed), seeds.
    """
    grouped = table.groupby(["parameters", "cycle", "arm"], sort=False)["utility"]
    found = grouped.agg(mean="mean", spread=lambda own: own.std(ddof=0), seeds="size")
    return found.reset_index()


def claims(table: pd.DataFrame, turns: int) -> list[Claim]:
    """What one set of parameters shows.

    Args:
        table: as in `by_cycle`, of one set.
        turns: the first cycle after the change.
    """
    name = str(table["parameters"].iloc[0])
    arms = {
        str(arm): own.pivot(index="seed", columns="cycle", values="utility")
        for arm, own in table.groupby("arm")
    }
    loop, frozen, popularity = arms["loop"], arms["frozen"], arms["popularity"]
    cost = 1 - frozen.loc[:, turns:].mean(axis=1) / frozen.loc[:, : turns - 1].mean(axis=1)
    back = won_back(loop, turns)
    lead = (loop - frozen).loc[:, 1:].mean(axis=1)
    lower = lower_end(lead.to_numpy())
    below = longest_run(loop < popularity)
    return [
        Claim(name, "drift_costs_the_frozen_model", (mean := float(cost.mean())), COST,
              mean >= COST, f"it loses {_spread(cost, '.0%')} of its utility"),
        Claim(name, "the_loop_wins_it_back", (mean := float(back.mean())), WON_BACK,
              mean >= WON_BACK,
              f"{_spread(back, '.0%')} of what it lost, {WIN_BACK_WITHIN} cycles after the change"),
        Claim(name, "the_loop_is_above_the_frozen_model", lower, 0.0, lower > 0,
              f"by {_spread(lead, '.3f')} a cycle; 95 % interval from {lower:+.3f}"),
        Claim(name, "never_below_popularity_twice_in_a_row", below, 1, below <= 1,
              f"at most {below} cycles in a row"),
    ]  # fmt: skip


def won_back(loop: pd.DataFrame, turns: int) -> pd.Series:
    """Share of the loop's loss that is made good in time, a value a seed.

    What was lost: the mean of the cycles before the change, less that of the first cycle with it.
    `loop` is utility by seed and cycle.
    """
    before, fell = loop.loc[:, : turns - 1].mean(axis=1), loop[turns]
    then = loop[min(turns + WIN_BACK_WITHIN, int(loop.columns.max()))]
    return (then - fell) / (before - fell)


def lower_end(differences: np.ndarray) -> float:
    """Lower end of the 95 % interval of the mean over seeds; NaN for one seed."""
    n = len(differences)
    if n not in STUDENT:
        return float("nan")
    return float(differences.mean() - STUDENT[n] * differences.std(ddof=1) / np.sqrt(n))


def longest_run(found: pd.DataFrame) -> int:
    """The most neighbouring columns of any row that are all true."""
    longest = 0
    for row in found.to_numpy(dtype=bool):
        run = 0
        for true in row:
            run = run + 1 if true else 0
            longest = max(longest, run)
    return longest


def _spread(values: pd.Series, form: str) -> str:
    return f"{values.mean():{form}} ± {values.std(ddof=0):{form}}"
