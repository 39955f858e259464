"""Randomised slots: which items they get, and with what probability each was shown.

Slots are drawn one after the other, without replacement, in proportion to the model's probability
(Plackett–Luce: Luce 1959, Plackett 1975), by the Gumbel trick (Kool et al. 2019).
"""

import hashlib

import numpy as np


def explored_slots(top_k: int, share: float) -> int:
    """How many of a list's last slots are drawn; the others keep the best items."""
    return round(top_k * share)


def draw(
    probabilities: np.ndarray, candidates: np.ndarray, slots: int, key: tuple[object, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Fill `slots` slots from `candidates`.

    Args:
        probabilities: float [V+1], of each item; column 0 is padding.
        candidates: int64 [C], codes that may be shown.
        slots: how many are drawn; fewer when candidates run out.
        key: what the draw depends on, such as (seed, user id, list id), and on nothing else.

    Returns:
        (codes [s], propensities [s]): a propensity is the probability with which its slot got
        this item, given the slots before it.
    """
    digest = hashlib.blake2b("\x1f".join(map(str, key)).encode(), digest_size=16).digest()
    rng = np.random.Generator(np.random.Philox(int.from_bytes(digest, "big")))
    weights = np.maximum(probabilities[candidates].astype(np.float64), 1e-12)
    order = np.argsort(-(np.log(weights) + rng.gumbel(size=len(weights))), kind="stable")
    chosen = order[:slots]
    taken = np.concatenate([[0.0], np.cumsum(weights[chosen])[:-1]])[: len(chosen)]
    return candidates[chosen], weights[chosen] / (weights.sum() - taken)
