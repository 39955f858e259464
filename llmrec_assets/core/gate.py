"""Which model serves: the challenger, the champion, or the best baseline."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Decision:
    """Who serves and why. `kind` says whether it is a trained model or a baseline."""

    outcome: Literal["promoted", "kept", "baseline"]
    served: str
    kind: Literal["model", "baseline"]
    reason: str


def decide(
    baselines: dict[str, float],
    challenger: tuple[str, float] | None,
    champion: tuple[str, float] | None,
) -> Decision:
    """Compare scores of one metric on the same held-out events; more is better.

    A model must beat every baseline to serve. Between champion and challenger the challenger wins
    a tie: it knows newer events. Among equal baselines the later of `baselines` wins.

    Args:
        baselines: name → score; at least one.
        challenger: (version, score), None when nothing could be trained.
        champion: (version, score) of its evaluation fit, None when there is none.
    """
    best = max(baselines, key=lambda name: (baselines[name], list(baselines).index(name)))
    floor = baselines[best]
    beaten = f"the best baseline, {best}, has {floor:.4f}"
    fit = [model for model in (champion, challenger) if model and model[1] > floor]
    if not fit:
        seen = ", ".join(
            f"{role} {model[0]} has {model[1]:.4f}"
            for role, model in (("challenger", challenger), ("champion", champion))
            if model
        )
        return Decision("baseline", best, "baseline", f"{seen or 'no model was trained'}; {beaten}")
    winner = max(fit, key=lambda model: (model[1], model is challenger))
    if winner is challenger:
        against = f"; champion {champion[0]} has {champion[1]:.4f}" if champion else ""
        return Decision(
            "promoted", winner[0], "model", f"{winner[0]} has {winner[1]:.4f}; {beaten}{against}"
        )
    lost = f"; challenger {challenger[0]} has {challenger[1]:.4f}" if challenger else ""
    return Decision("kept", winner[0], "model", f"{winner[0]} has {winner[1]:.4f}; {beaten}{lost}")
