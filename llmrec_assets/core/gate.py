"""Which model serves: the challenger, the champion, or the best baseline.

A model serves only above every baseline. Without a champion that is above them too, that alone
decides. Else the challenger is compared with the champion by their evaluation fits, on the same
held-out events, and takes over if it passes every test of `gate_evidence`. More data keeps the
champion.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from llmrec_assets.core.gate_evidence import Comparison, Evidence, Outcome, Thresholds, compare


@dataclass(frozen=True)
class Contest:
    """All that a decision depends on. Scores are of one metric on the same held-out events."""

    baselines: Mapping[str, float]  # name → score, at least one
    challenger: tuple[str, float] | None = None  # (version, score), None: nothing was trained
    champion: tuple[str, float] | None = None  # None: there is none that can be compared
    comparison: Comparison | None = None  # of the two
    serving: str | None = None  # the version that serves now
    held: str = ""  # why `serving` goes on whatever the scores


@dataclass(frozen=True)
class Decision:
    """Who serves and why. `kind` says whether it is a trained model or a baseline."""

    outcome: Outcome
    served: str
    kind: Literal["model", "baseline"]
    reason: str
    tests: tuple[Evidence, ...] = ()


def decide(contest: Contest, thresholds: Thresholds) -> Decision:
    """Who serves from now on; among equal baselines the later one does.

    Raises:
        ValueError: challenger and champion are given without their comparison.
    """
    if contest.held and contest.serving:
        return Decision("kept", contest.serving, "model", contest.held)
    best = max(
        contest.baselines, key=lambda n: (contest.baselines[n], [*contest.baselines].index(n))
    )
    floor, challenger = contest.baselines[best], contest.challenger
    tests = tuple(_above_baselines(contest, floor))
    scores = _scores(contest, best)
    incumbent = Decision("baseline", best, "baseline", scores, tests)
    if contest.champion and contest.champion[1] > floor:
        incumbent = Decision("kept", contest.champion[0], "model", scores, tests)
    if challenger is None or challenger[1] <= floor:
        return incumbent
    if incumbent.kind == "model":
        if contest.comparison is None:
            raise ValueError(f"{challenger[0]} and {incumbent.served} were not compared")
        further = tuple(compare(contest.comparison, thresholds))
        tests += further
        failed = next((test for test in further if not test.passed), None)
        if failed:
            reason = f"{failed.rule}; {scores}"
            return replace(incumbent, outcome=failed.otherwise, reason=reason, tests=tests)
    if thresholds.approval and challenger[0] != contest.serving:
        reason = f"{challenger[0]} takes over when a person approves; {scores}"
        return replace(incumbent, outcome="awaiting_approval", reason=reason, tests=tests)
    return Decision("promoted", challenger[0], "model", scores, tests)


def _above_baselines(contest: Contest, floor: float) -> Iterator[Evidence]:
    for role, model in (("challenger", contest.challenger), ("champion", contest.champion)):
        if model:
            rule = f"{role} {model[0]} is not above the best baseline"
            yield Evidence(f"{role}_above_baselines", model[1], floor, model[1] > floor, rule)


def _scores(contest: Contest, best: str) -> str:
    models = (("challenger", contest.challenger), ("champion", contest.champion))
    seen = [f"{role} {model[0]} has {model[1]:.4f}" for role, model in models if model]
    floor = f"the best baseline, {best}, has {contest.baselines[best]:.4f}"
    return "; ".join([*(seen or ["no model was trained"]), floor])
