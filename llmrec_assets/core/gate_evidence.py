"""The tests of a challenger against the champion, each with its numbers.

They are made in the order in which they decide; the first that fails does.

| test | passes if | else |
|---|---|---|
| enough_users | enough held-out users are compared | more_data |
| not_surely_worse | the interval of the difference reaches zero | kept |
| slice … | in no guarded slice it is surely worse by more than a share of the score | kept |
| coverage | its lists show nearly as many items | kept |
| gini | its lists are not much more concentrated | kept |
| logged_value | its policy would not surely have earned less in slots drawn at random | kept |
| precise_enough | the interval excludes a loss beyond the tolerance | more_data |
| no_worse_on_average | the mean difference is not negative | kept |

So a challenger need not be surely better. It knows newer events than the champion, and a loop that
waits for proof of a lead would hardly ever learn: non-inferiority within a margin (Walker & Nowacki
2011) is asked for, and the sign of the mean keeps small losses from adding up.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

Outcome = Literal["promoted", "kept", "more_data", "baseline", "awaiting_approval", "rolled_back"]


@dataclass(frozen=True)
class Thresholds:
    """When a challenger may take over."""

    tolerance: float = 0.1  # share of the champion's score that may be lost, at worst
    users: int = 100  # held-out users below which nothing is decided
    slice_tolerance: float = 0.1  # share of the champion's score in a slice that may surely be lost
    slice_users: int = 100  # users below which a slice is not guarded
    coverage: float = 0.8  # least share of the champion's coverage
    gini: float = 0.05  # most that the Gini index of exposure may rise
    effective_sample: float = 100.0  # below which the logged value has no say
    approval: bool = False  # a person must agree before a challenger takes over


@dataclass(frozen=True)
class Difference:
    """Challenger less champion in a metric of which more is better, over the same users."""

    mean: float
    lower: float
    upper: float
    champion: float  # the champion's own score
    users: int


@dataclass(frozen=True)
class LoggedValue:
    """What the challenger's policy would have earned in a slot, less what was earned."""

    difference: float
    lower: float
    upper: float
    effective_sample: float
    slots: int


@dataclass(frozen=True)
class Comparison:
    """Challenger and champion side by side. Pairs are (challenger's, champion's)."""

    overall: Difference
    coverage: tuple[float, float]
    gini: tuple[float, float]
    slices: Mapping[str, Difference] = field(default_factory=dict)
    logged: LoggedValue | None = None


@dataclass(frozen=True)
class Evidence:
    """One test of a decision, with its numbers."""

    test: str
    value: float | None
    threshold: float
    passed: bool
    rule: str  # what it means where it fails
    lower: float | None = None
    upper: float | None = None
    users: int | None = None
    otherwise: Outcome = "kept"


def compare(found: Comparison, thresholds: Thresholds) -> Iterator[Evidence]:
    """The tests of a challenger against a champion, in the order in which they decide."""
    overall, least = found.overall, thresholds.users
    yield Evidence(
        "enough_users", overall.users, least, overall.users >= least,
        f"{overall.users} held-out users are fewer than {least}", otherwise="more_data",
    )  # fmt: skip
    yield _interval("not_surely_worse", overall, 0.0, "the challenger is surely worse")
    for name, own in found.slices.items():
        if own.users >= thresholds.slice_users:
            limit = -thresholds.slice_tolerance * own.champion
            yield _interval(f"slice {name}", own, limit, f"it is surely worse for {name}")
    (own, other), (ours, theirs) = found.coverage, found.gini
    yield Evidence(
        "coverage", own, thresholds.coverage * other, own >= thresholds.coverage * other,
        f"its lists cover {own:.4f} of the items, the champion's {other:.4f}",
    )  # fmt: skip
    yield Evidence(
        "gini", ours, theirs + thresholds.gini, ours <= theirs + thresholds.gini,
        f"the Gini index of its lists is {ours:.4f}, that of the champion's {theirs:.4f}",
    )  # fmt: skip
    if found.logged:
        yield _logged_value(found.logged, thresholds.effective_sample)
    margin = -thresholds.tolerance * overall.champion
    yield Evidence(
        "precise_enough", overall.mean, margin, overall.lower >= margin,
        f"the difference, {overall.lower:+.4f} to {overall.upper:+.4f}, is too unsure",
        overall.lower, overall.upper, overall.users, otherwise="more_data",
    )  # fmt: skip
    yield Evidence(
        "no_worse_on_average", overall.mean, 0.0, overall.mean >= 0,
        "the challenger is no better", overall.lower, overall.upper, overall.users,
    )  # fmt: skip


def _interval(test: str, own: Difference, limit: float, rule: str) -> Evidence:
    """Fails where the whole interval lies below the limit."""
    numbers = f"{rule}, by {own.mean:+.4f} ({own.lower:+.4f} to {own.upper:+.4f})"
    return Evidence(
        test, own.mean, limit, own.upper >= limit, numbers, own.lower, own.upper, own.users
    )


def _logged_value(logged: LoggedValue, least: float) -> Evidence:
    """Fails where the policy surely earns less; a small effective sample says nothing."""
    size = f"effective sample {logged.effective_sample:.0f} of {logged.slots} slots"
    if logged.effective_sample < least:
        return Evidence("logged_value", None, 0.0, True, f"{size}: no estimate")
    return Evidence(
        "logged_value", logged.difference, 0.0, logged.upper >= 0,
        f"it would surely have earned less where slots were drawn ({size})",
        logged.lower, logged.upper,
    )  # fmt: skip
