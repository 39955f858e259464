"""For whom and for what a scorer is good: the users who are judged, cut in several ways.

NumPy and pandas only.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from llmrec_assets.core.sequences import Sequences

DAY = 86_400_000_000  # microseconds
SHORTEST = [1, 2, 5, 10, 20, 50]  # history in each of the slices below
LENGTHS = ["1", "2 to 4", "5 to 9", "10 to 19", "20 to 49", "50 or more"]
CLASSES = ["head", "middle", "tail", "cold"]
EDGE_SHARE = 0.2  # of the training events, that head and tail each hold
NEW_USERS = LENGTHS[:2]  # fewer than five events before the target
COLUMNS = ["dimension", "slice", "position"]


def dimensions(
    sequences: Sequences,
    targets: np.ndarray,
    users: np.ndarray,
    counts: np.ndarray,
    behaviors: Sequence[str],
) -> pd.DataFrame:
    """Which slice of each dimension every judged user is in.

    Args:
        sequences: the events.
        targets: int64 [n], absolute position of each target; it has an event before it.
        users: int64 [n], whose they are.
        counts: int64 [V+1], training events of each item.
        behaviors: names; code c is at c - 1.

    Returns:
        n rows of ordered categories. `same_day` tells whether the target and the event before it
        fall on one day, UTC; it is absent where times are relative.
    """
    lengths = targets - sequences.starts[users]
    columns = {
        "history_length": _named(np.searchsorted(SHORTEST, lengths, "right") - 1, LENGTHS),
        "target_popularity": _named(popularity_classes(counts)[sequences.items[targets]], CLASSES),
        "target_behavior": _named(sequences.behaviors[targets] - 1, behaviors),
    }
    if not sequences.relative:
        days, before = sequences.times[targets] // DAY, sequences.times[targets - 1] // DAY
        columns["same_day"] = _named((days == before).astype(int), ["no", "yes"])
    return pd.DataFrame(columns)


def popularity_classes(counts: np.ndarray) -> np.ndarray:
    """Head, middle, tail or cold, by events in training (as Abdollahpouri et al. 2021 cut them).

    The head are the most popular items, with a fifth of the events; the tail the least popular
    ones, with another; items of equal count are of one class. The cold ones were never trained on.

    Args:
        counts: int64 [V+1], training events of each item.

    Returns:
        int64 [V+1], indices into `CLASSES`.
    """
    values, of_item, sizes = np.unique(counts, return_inverse=True, return_counts=True)
    events = values * sizes
    upto = np.cumsum(events)
    edge = EDGE_SHARE * upto[-1]
    more_popular, less_popular = upto[-1] - upto, upto - events
    classes = np.where(more_popular < edge, 0, np.where(less_popular < edge, 2, 1))
    return np.where(values == 0, 3, classes)[of_item]


def slice_means(dimensions: pd.DataFrame, gains: pd.DataFrame) -> pd.DataFrame:
    """Mean gains of the users of every slice that has any.

    Args:
        dimensions: as the function of that name makes them, n rows.
        gains: n rows of metrics.

    Returns:
        Columns dimension, slice, position (from 0, its place within the dimension), those of
        `gains`, and users.
    """
    parts = []
    for name, column in dimensions.items():
        grouped = gains.groupby(column.cat.codes.to_numpy())
        means = grouped.mean().assign(dimension=str(name), users=grouped.size())
        labels = column.cat.categories[means.index].astype(str)
        parts.append(means.assign(slice=labels, position=means.index))
    return pd.concat(parts, ignore_index=True)[[*COLUMNS, *gains.columns, "users"]]


def guarded(dimensions: pd.DataFrame) -> dict[str, np.ndarray]:
    """The slices in which a challenger must not lose, by name, each as bool [n].

    New users, cold items and each behaviour, where there is any of it.
    """
    masks = {
        "new_users": dimensions["history_length"].isin(NEW_USERS).to_numpy(),
        "cold_items": (dimensions["target_popularity"] == "cold").to_numpy(),
    }
    behaviors = dimensions["target_behavior"]
    for name in behaviors.cat.categories:
        masks[f"behavior {name}"] = (behaviors == name).to_numpy()
    return {name: mask for name, mask in masks.items() if mask.any()}


def _named(codes: np.ndarray, names: Sequence[str]) -> pd.Series:
    return pd.Series(pd.Categorical.from_codes(codes.tolist(), pd.Index(names)))
