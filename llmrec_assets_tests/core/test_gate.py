"""Every rule of the gate and every outcome, by table."""

from dataclasses import replace

import pytest

from llmrec_assets.core.gate import Contest, decide
from llmrec_assets.core.gate_evidence import Comparison, Difference, LoggedValue, Thresholds

BAD = -0.0301  # just beyond a tenth of the champion's 0.3
BASELINES = {"popularity": 0.1, "decayed_markov": 0.2}
NEW, OLD = ("new", 0.31), ("old", 0.3)
RULES = Thresholds()
SURE = Difference(mean=0.01, lower=0.005, upper=0.015, champion=0.3, users=500)
COMPARED = Comparison(overall=SURE, coverage=(0.5, 0.5), gini=(0.6, 0.6))


def judge(challenger=NEW, champion=OLD, thresholds=RULES, compared=COMPARED, **more):
    return decide(Contest(BASELINES, challenger, champion, compared, **more), thresholds)


@pytest.mark.parametrize(
    ("challenger", "champion", "outcome", "served"),
    [
        (("new", 0.3), None, "promoted", "new"),
        (("new", 0.21), ("old", 0.2), "promoted", "new"),  # a fallen champion is no measure
        (("new", 0.1), ("old", 0.3), "kept", "old"),
        (None, ("old", 0.3), "kept", "old"),
        (("new", 0.2), None, "baseline", "decayed_markov"),  # a tie is not above
        (("new", 0.1), ("old", 0.15), "baseline", "decayed_markov"),
        (None, None, "baseline", "decayed_markov"),
    ],
)
def test_a_model_serves_only_if_it_beats_every_baseline(challenger, champion, outcome, served):
    decision = judge(challenger, champion, compared=None)
    assert (decision.outcome, decision.served) == (outcome, served)
    assert decision.kind == ("baseline" if outcome == "baseline" else "model")
    for model in (challenger, champion):
        assert model is None or model[0] in decision.reason


def test_without_any_score_the_later_baseline_serves():
    contest = Contest({"popularity": 0.0, "decayed_markov": 0.0})
    assert decide(contest, RULES).served == "decayed_markov"


@pytest.mark.parametrize(
    ("mean", "lower", "upper", "users", "outcome", "failed"),
    [
        (0.01, 0.005, 0.015, 500, "promoted", None),  # surely better
        (0.001, -0.02, 0.022, 500, "promoted", None),  # as good, and newer
        (0.0, 0.0, 0.0, 500, "promoted", None),  # a tie: it knows newer events
        (0.0, -0.03, 0.03, 500, "promoted", None),  # at the margin
        (0.01, 0.005, 0.015, 99, "more_data", "enough_users"),
        (-0.2, -0.3, -0.1, 99, "more_data", "enough_users"),  # too few even to lose
        (-0.01, -0.015, -0.005, 500, "kept", "not_surely_worse"),
        (0.02, BAD, 0.07, 500, "more_data", "precise_enough"),
        (-0.02, -0.07, 0.03, 500, "more_data", "precise_enough"),
        (-0.001, -0.02, 0.018, 500, "kept", "no_worse_on_average"),
    ],
)
def test_the_difference_decides(mean, lower, upper, users, outcome, failed):
    overall = Difference(mean, lower, upper, champion=0.3, users=users)
    check(judge(compared=replace(COMPARED, overall=overall)), outcome, failed)


@pytest.mark.parametrize(
    ("change", "outcome", "failed"),
    [
        ({"slices": {"new": Difference(-0.1, -0.2, BAD, 0.3, 100)}}, "kept", "slice new"),
        ({"slices": {"new": Difference(-0.1, -0.2, -0.03, 0.3, 100)}}, "promoted", None),
        ({"slices": {"new": Difference(-0.1, -0.2, BAD, 0.3, 99)}}, "promoted", None),
        ({"slices": {"cold": Difference(0.0, 0.0, 0.0, 0.0, 400)}}, "promoted", None),
        ({"coverage": (0.4, 0.5)}, "promoted", None),
        ({"coverage": (0.39, 0.5)}, "kept", "coverage"),
        ({"gini": (0.65, 0.6)}, "promoted", None),
        ({"gini": (0.66, 0.6)}, "kept", "gini"),
        ({"logged": LoggedValue(-0.1, -0.2, -0.01, 100.0, 900)}, "kept", "logged_value"),
        ({"logged": LoggedValue(-0.1, -0.2, 0.01, 100.0, 900)}, "promoted", None),
        ({"logged": LoggedValue(-0.1, -0.2, -0.01, 99.9, 900)}, "promoted", None),
        ({"logged": LoggedValue(9.0, 8.0, 10.0, 900.0, 900)}, "promoted", None),
    ],
)  # fmt: skip
def test_each_guard_may_veto_and_says_so(change, outcome, failed):
    check(judge(compared=replace(COMPARED, **change)), outcome, failed)


def check(decision, outcome, failed):
    assert (decision.outcome, decision.served) == (outcome, "old" if failed else "new")
    assert decision.kind == "model"
    assert [test.test for test in decision.tests if not test.passed][:1] == [failed][: bool(failed)]
    if failed:
        rule = next(test.rule for test in decision.tests if not test.passed)
        assert decision.reason.startswith(rule)


def test_a_good_logged_value_promotes_nobody():
    logged = LoggedValue(9.0, 8.0, 10.0, 900.0, 900)
    worse = Difference(-0.01, -0.015, -0.005, champion=0.3, users=500)
    assert judge(compared=replace(COMPARED, overall=worse, logged=logged)).outcome == "kept"


def test_a_small_effective_sample_is_told_and_says_nothing():
    logged = LoggedValue(-0.1, -0.2, -0.01, effective_sample=12.3, slots=900)
    decision = judge(compared=replace(COMPARED, logged=logged))
    (told,) = [test for test in decision.tests if test.test == "logged_value"]
    assert (told.value, told.passed) == (None, True)
    assert told.rule == "effective sample 12 of 900 slots: no estimate"


def test_all_tests_are_told_whatever_decides():
    few = replace(COMPARED, overall=replace(SURE, users=1), gini=(0.9, 0.1))
    tests = judge(compared=few).tests
    assert [test.test for test in tests] == [
        "challenger_above_baselines",
        "champion_above_baselines",
        "enough_users",
        "not_surely_worse",
        "coverage",
        "gini",
        "precise_enough",
        "no_worse_on_average",
    ]
    assert [test.test for test in tests if not test.passed] == ["enough_users", "gini"]


@pytest.mark.parametrize(
    ("champion", "serving", "outcome", "served"),
    [
        (OLD, "old", "awaiting_approval", "old"),
        (None, None, "awaiting_approval", "decayed_markov"),
        (("old", 0.1), "old", "awaiting_approval", "decayed_markov"),
        (OLD, "new", "promoted", "new"),  # judged again when it was approved and serves
    ],
)
def test_approval_leaves_who_served(champion, serving, outcome, served):
    decision = judge(champion=champion, thresholds=Thresholds(approval=True), serving=serving)
    assert (decision.outcome, decision.served) == (outcome, served)
    assert "new" in decision.reason


def test_nobody_needs_approval_to_lose():
    worse = replace(COMPARED, gini=(1.0, 0.1))
    assert judge(compared=worse, thresholds=Thresholds(approval=True)).outcome == "kept"


def test_who_is_held_serves_whatever_the_scores():
    decision = judge(champion=("old", 0.0), serving="old", held="rolled back by hand")
    assert (decision.outcome, decision.served, decision.kind) == ("kept", "old", "model")
    assert decision.reason == "rolled back by hand"


def test_models_that_were_not_compared_are_an_error():
    with pytest.raises(ValueError, match="new and old were not compared"):
        judge(compared=None)
