import pytest

from llmrec_assets.core.gate import decide

BASELINES = {"popularity": 0.1, "decayed_markov": 0.2}


@pytest.mark.parametrize(
    ("challenger", "champion", "outcome", "served"),
    [
        (("new", 0.3), None, "promoted", "new"),
        (("new", 0.3), ("old", 0.25), "promoted", "new"),
        (("new", 0.3), ("old", 0.3), "promoted", "new"),
        (("new", 0.25), ("old", 0.3), "kept", "old"),
        (("new", 0.1), ("old", 0.3), "kept", "old"),
        (None, ("old", 0.3), "kept", "old"),
        (("new", 0.2), None, "baseline", "decayed_markov"),
        (("new", 0.1), ("old", 0.15), "baseline", "decayed_markov"),
        (None, None, "baseline", "decayed_markov"),
    ],
)
def test_a_model_serves_only_if_it_beats_every_baseline(challenger, champion, outcome, served):
    decision = decide(BASELINES, challenger, champion)
    assert (decision.outcome, decision.served) == (outcome, served)
    assert decision.kind == ("baseline" if outcome == "baseline" else "model")
    for model in (challenger, champion):
        assert model is None or model[0] in decision.reason


def test_without_any_score_the_later_baseline_serves():
    assert decide({"popularity": 0.0, "decayed_markov": 0.0}, None, None).served == "decayed_markov"
