"""Whether what came in last is like what came in before."""

import pandas as pd

LEAST_FILES = 3  # before, so that something is usual
_TIMES_THE_ROWS = 5.0
_TIMES_THE_LAG, _DAY = 5.0, 24.0  # hours
_SHARE_THAT_COUNTS = 0.2
_WHAT = {
    "users_known": "of its users were known before",
    "items_known": "of its items were known before",
}


def unusual(measures: pd.DataFrame, of: str = "events") -> list[str]:
    """What is odd about the newest file, in words; nothing where too few came before.

    Args:
        measures: one row a file, the newest first: `name`, how many it has (`of`), and shares from
            0 to 1: of those that have a column (`has_` and its name), of users and items that were
            known (`users_known`, `items_known`). Of events also `lag_hours` from the newest event
            to its arrival (NaN where time is relative).
        of: what the files have, events or items.
    """
    newest, usual = measures.iloc[0], measures.iloc[1:]
    if len(usual) < LEAST_FILES:
        return []
    typical = usual.drop(columns="name").median()
    found = []
    ratio = newest[of] / max(typical[of], 1)
    if not 1 / _TIMES_THE_ROWS <= ratio <= _TIMES_THE_ROWS:
        found.append(f"{newest[of]:.0f} {of}; usual are {typical[of]:.0f}")
    for name in typical.index.difference([of, "lag_hours"], sort=False):
        # A share that is usually small says nothing when it falls.
        if typical[name] >= _SHARE_THAT_COUNTS and newest[name] < typical[name] / 2:
            what = _WHAT.get(name, f"of its {of} have {name.removeprefix('has_')}")
            found.append(f"{newest[name]:.0%} {what}; usual are {typical[name]:.0%}")
    if (
        "lag_hours" in typical
        and newest["lag_hours"] > _TIMES_THE_LAG * max(typical["lag_hours"], 0) + _DAY
    ):
        found.append(
            f"its newest event is {newest['lag_hours']:.0f} hours old; usual are"
            f" {typical['lag_hours']:.0f}"
        )
    return found
