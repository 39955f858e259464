"""Randomised slots: which items they get, and with what probability each was shown.

The policy: the best items fill a list's first slots. Its last slots are drawn one after the other,
without replacement, from every other item that may be shown, in proportion to the model's
probability to the power of 1 / temperature (Plackett-Luce: Luce 1959, Plackett 1975), by the Gumbel
trick (Kool et al. 2019). No item that may be shown has probability zero, and a high temperature
makes all of them alike.

A propensity is that of the slot *given the slots before it*: 1 for a slot that was not drawn, and
for a drawn one w(item) / (sum of w over the items still to be had). So the probability of a whole
list, given which items may be shown, is the product of its propensities. For a slot s, weighing
what followed with 1 / propensity gives an unbiased sum over the items that slot s could have shown
after the slots above it; it is not the chance that the item is anywhere in the list.

A draw depends on the seed and the list id alone, and a list id on the user, the model, the data and
the settings: the same list is drawn again the same, another one anew.
"""

import hashlib

import numpy as np

_RAREST = 1e-12  # probability of an item that the model rules out


def explored_slots(top_k: int, share: float) -> int:
    """How many of a list's last slots are drawn; the others keep the best items."""
    return round(top_k * share)


def draw(
    probabilities: np.ndarray,
    candidates: np.ndarray,
    slots: int,
    key: tuple[object, ...],
    temperature: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Fill `slots` slots from `candidates`.

    Args:
        probabilities: float [V+1], of each item; column 0 is padding.
        candidates: int64 [C], codes that may be shown.
        slots: how many are drawn; fewer when candidates run out.
        key: what the draw depends on, such as (seed, list id), and on nothing else.
        temperature: at least 0.1; 1 draws by the probabilities, more makes the draw more even.

    Returns:
        (codes [s], propensities [s]): a propensity is the probability with which its slot got
        this item, given the slots before it, in (0, 1].
    """
    digest = hashlib.blake2b("\x1f".join(map(str, key)).encode(), digest_size=16).digest()
    rng = np.random.Generator(np.random.Philox(int.from_bytes(digest, "big")))
    logs = np.log(np.maximum(probabilities[candidates].astype(np.float64), _RAREST)) / temperature
    order = np.argsort(-(logs + rng.gumbel(size=len(logs))), kind="stable")
    weights = np.exp(logs - logs.max(initial=-np.inf))[order]
    # What is still to be had is summed up from the end: a difference would lose what is left
    # beside an item that has nearly all the probability.
    left = np.cumsum(weights[::-1])[::-1]
    return candidates[order[:slots]], (weights / left)[:slots]
