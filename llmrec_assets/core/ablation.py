"""What several variants gain against each other, for whom, how surely, and at what cost.

NumPy and pandas only. Gains of a user are averaged over the seeds, then users are drawn anew: an
interval tells what other users might have said. What another seed might have said stands beside it
as the spread.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from llmrec_assets.core.intervals import mean_intervals

FEW = 5  # training events of a target that is nearly unknown, at most
SLICES = ("all", "cold", "few", "warm")
SCORERS = ("served", "network")
NDCG, RECALL = 0, 1  # of a scorer's gains
INTERVAL = ("difference", "lower", "upper")


@dataclass(frozen=True)
class Outcome:
    """One variant over all seeds."""

    gains: np.ndarray  # float64 [seeds, n, 4]: NDCG and recall of what is served, of the network
    cpu_seconds: float  # of fitting and ranking, mean over seeds
    encoding_seconds: float = 0.0  # spent once on the vectors it reads
    placebo: bool = False

    @property
    def seconds(self) -> float:
        """What it cost in all."""
        return self.cpu_seconds + self.encoding_seconds

    def of(self, scorer: str) -> np.ndarray:
        """float64 [seeds, n, 2]; NaN throughout where there is no such scorer."""
        first = 2 * SCORERS.index(scorer)
        return self.gains[..., first : first + 2]

    @property
    def served(self) -> np.ndarray:
        """NDCG of what is served for each user, mean over seeds: float64 [n]."""
        return self.of("served")[..., NDCG].mean(0)


def slices_of(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Slice → who is in it (bool [n]), by training events of each target (int64 [n])."""
    cold, few = counts == 0, (counts > 0) & (counts <= FEW)
    return dict(zip(SLICES, (np.ones(len(counts), bool), cold, few, counts > FEW), strict=True))


def table(
    outcomes: Mapping[str, Outcome], counts: np.ndarray, against: Sequence[str]
) -> pd.DataFrame:
    """One row for each slice, scorer and variant.

    Args:
        outcomes: of at least one seed each; all on the same users.
        counts: int64 [n], training events of each user's target.
        against: variants that every other one is compared with, where they were measured.

    Returns:
        slice, scorer, variant, users, seeds, NDCG and recall with their spread over seeds (NaN for
        one seed), for each of `against` the difference in NDCG with its interval (`less_X_…`),
        cpu_seconds and encoding_seconds. No row where a slice has no user or a variant no such
        scorer.
    """
    rows = []
    for part, inside in slices_of(counts).items():
        for scorer in SCORERS:
            gains = {name: outcome.of(scorer)[:, inside] for name, outcome in outcomes.items()}
            gains = {name: own for name, own in gains.items() if own.size and _measured(own)}
            found = _rows(gains, against)
            rows += [{"slice": part, "scorer": scorer, **row} for row in found]
    frame = pd.DataFrame(rows)
    for cost in ("cpu_seconds", "encoding_seconds"):
        frame[cost] = [getattr(outcomes[name], cost) for name in frame["variant"]]
    return frame


def _measured(gains: np.ndarray) -> bool:
    return not np.isnan(gains).any()


def _rows(gains: Mapping[str, np.ndarray], against: Sequence[str]) -> list[dict[str, object]]:
    means = {name: own[..., NDCG].mean(0) for name, own in gains.items()}
    pairs = [(name, other) for name in gains for other in against if other in gains]
    compared = {}
    if pairs:
        differences = np.column_stack([means[name] - means[other] for name, other in pairs])
        compared = dict(zip(pairs, mean_intervals(differences), strict=True))
    rows = []
    for name, own in gains.items():
        row: dict[str, object] = {"variant": name, "users": own.shape[1], "seeds": len(own)}
        for metric, column in (("ndcg", NDCG), ("recall", RECALL)):
            by_seed = own[..., column].mean(1)
            row[metric] = by_seed.mean()
            row[f"{metric}_spread"] = by_seed.std(ddof=1) if len(own) > 1 else np.nan
        for other in against:
            values = compared.get((name, other), [np.nan] * 3)
            for end, value in zip(INTERVAL, values, strict=True):
                row[f"less_{other}_{end}"] = np.nan if name == other else value
        rows.append(row)
    return rows


@dataclass(frozen=True)
class Verdict:
    """The variant that gains most, the cheapest that is not surely worse, and plain words."""

    best: str
    cheapest: str
    sentences: list[str]


def verdict(outcomes: Mapping[str, Outcome], questions: Mapping[str, tuple[str, str]]) -> Verdict:
    """Judge what is served, all users.

    Args:
        outcomes: as for `table`; placebos are no candidates for best and cheapest.
        questions: subject → (variant with it, variant without it); left out where one of the two
            was not measured.
    """
    real = {name: outcome for name, outcome in outcomes.items() if not outcome.placebo}
    best = max(real, key=lambda name: real[name].served.mean())
    behind = np.column_stack([real[best].served - own.served for own in real.values()])
    lowers = dict(zip(real, mean_intervals(behind)[:, 1], strict=True))
    equal = [name for name in real if lowers[name] <= 0]
    cheapest = min(equal, key=lambda name: real[name].seconds)
    sentences = [
        f"the best is {best}, NDCG@10 {real[best].served.mean():.4f}; the cheapest that is not"
        f" surely worse is {cheapest}, {real[cheapest].served.mean():.4f} at"
        f" {real[cheapest].seconds:.0f} seconds, encoding included, instead of"
        f" {real[best].seconds:.0f}"
    ]
    for subject, (having, lacking) in questions.items():
        if having in outcomes and lacking in outcomes:
            gain = outcomes[having].served - outcomes[lacking].served
            sentences.append(_sentence(subject, having, lacking, mean_intervals(gain[:, None])[0]))
    return Verdict(best, cheapest, sentences)


def _sentence(subject: str, having: str, lacking: str, interval: np.ndarray) -> str:
    mean, lower, upper = interval
    numbers = f"{having} less {lacking} {mean:+.4f}, 95 % interval {lower:+.4f} to {upper:+.4f}"
    if lower > 0:
        return f"{subject} help on this data: {numbers}"
    if upper < 0:
        return f"{subject} hurt on this data: {numbers}"
    return f"{subject} add nothing here that is sure: {numbers}"


def seed_table(outcome: Outcome, seeds: Sequence[int]) -> pd.DataFrame:
    """NDCG and recall of one variant by seed, then their mean and spread."""
    names = [f"{scorer}_{metric}" for scorer in SCORERS for metric in ("ndcg", "recall")]
    frame = pd.DataFrame(outcome.gains.mean(1), columns=names)
    frame.insert(0, "seed", [str(seed) for seed in seeds])
    numbers = frame[names]
    further = [["mean", *numbers.mean()], ["spread", *numbers.std(ddof=1)]]
    return pd.concat([frame, pd.DataFrame(further, columns=frame.columns)], ignore_index=True)


def slice_table(rows: pd.DataFrame) -> pd.DataFrame:
    """NDCG of every variant, a column for each slice and scorer, with the number of users."""
    part = rows[rows["slice"] != "all"]
    names = part["scorer"] + ", " + part["slice"] + " (" + part["users"].astype(str) + ")"
    pivoted = part.assign(column=names).pivot(index="variant", columns="column", values="ndcg")
    order = list(dict.fromkeys(rows["variant"]))
    return pivoted.loc[order, list(dict.fromkeys(names))].reset_index()
