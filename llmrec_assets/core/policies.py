"""What a policy that ranks by probability would show in the explored slots of logged lists.

NumPy only. Two policies are asked about. `exploring` draws each slot in proportion to probability
without replacement (Plackett-Luce), as the log did; `greedy` shows the likeliest item. Both choose
among what could have been drawn there: candidates that are not in the slots before.
"""

from dataclasses import dataclass

import numpy as np

LEAST = 1e-12  # as the draw of a list has it: no candidate is impossible


@dataclass(frozen=True)
class Choices:
    """A policy in every slot of B lists, [B, K] each."""

    chances: np.ndarray  # float64, with which it shows the item that was shown
    expected: np.ndarray  # float64, mean reward that the reward model expects of what it shows


def choices(
    probabilities: np.ndarray, shown: np.ndarray, rewards: np.ndarray
) -> dict[str, Choices]:
    """Both policies in the slots of a block of lists.

    Args:
        probabilities: float64 [B, V+1], 0 for what could not be drawn in any slot; column 0 is 0.
        shown: int64 [B, K], items in the order in which slots were filled; 0 = no slot, or an
            item that is gone, which no policy shows.
        rewards: float64 [B, V+1], or [1, V+1] for all: what the reward model expects of an item.

    Returns:
        Policy → choices.
    """
    rows, rewards = np.arange(len(shown))[:, None], np.broadcast_to(rewards, probabilities.shape)
    own = probabilities[rows, shown]
    mass = np.maximum(probabilities.sum(1)[:, None] - _before(own), np.maximum(own, LEAST))
    gained = np.einsum("bv,bv->b", probabilities, rewards)[:, None]
    best = _likeliest(probabilities, shown)
    return {
        "exploring": Choices(own / mass, (gained - _before(own * rewards[rows, shown])) / mass),
        "greedy": Choices(((best == shown) & (shown > 0)).astype(np.float64), rewards[rows, best]),
    }


def _before(values: np.ndarray) -> np.ndarray:
    """Sum of the columns before each, [B, K]."""
    return np.cumsum(values, 1) - values


def _likeliest(probabilities: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """The likeliest item that is not in the slots before, the lower code where some tie, [B, K]."""
    depth = min(shown.shape[1] + 1, probabilities.shape[1])
    top = np.argpartition(-probabilities, depth - 1, axis=1)[:, :depth]
    top.sort(axis=1)
    order = np.argsort(-np.take_along_axis(probabilities, top, 1), axis=1, kind="stable")
    top, rows = np.take_along_axis(top, order, 1), np.arange(len(top))
    free = np.ones(top.shape, dtype=bool)
    best = np.empty(shown.shape, dtype=np.int64)
    for column in range(shown.shape[1]):
        best[:, column] = top[rows, free.argmax(1)]
        free &= top != shown[:, column, None]
    return best
