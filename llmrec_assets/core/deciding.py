"""By which metrics scorers are compared: those of the lists that users are shown.

A target among the items of the history is out of reach of a list that leaves these out, and what
users come back to where lists show them. So metrics come in three kinds, by the prefix of their
names: `masked_`, where the items of the history are no candidates; `unseen_`, the same over the
users whose target is new to them; and without any, where every item is a candidate.
"""

MASKED, UNSEEN, ALL = "masked_", "unseen_", ""


def told(hides_seen: bool) -> str:
    """The prefix of the metrics that are told first, and that every evaluation has."""
    return MASKED if hides_seen else ALL


def decisive(hides_seen: bool) -> tuple[str, ...]:
    """Prefixes of the metrics that decide: the first that an evaluation has does."""
    return (UNSEEN, MASKED) if hides_seen else (ALL,)
