"""A model of choice: how a user answers an item that a list shows at some rank.

Pure: uniform draws in, answers out. The user looks at rank r with probability `examination(r)`, so
that higher places get more answers whatever they hold, and clicks what was looked at with the
affinity that a hidden truth gives. What follows a click (how long the user stays, whether the item
goes into the cart, is bought, rated, liked or disliked) depends on the same affinity.
"""

from dataclasses import dataclass

import numpy as np

CART_SHARE, BUY_SHARE, RATE_SHARE = 0.4, 0.6, 0.3  # of clicks, carts and purchases
LIKE_SHARE = 0.12  # of clicks
DISLIKE_SHARE = 0.05  # of clicks, at an affinity of 0
REFUSE_SHARE = 0.02  # of what was looked at and not clicked, at an affinity of 0
POSITION_BIAS = 0.15
STAY = 30.0  # mean seconds of a click at an affinity of 0.8
DRAWS = ("look", "click", "stay", "cart", "buy", "rate", "stars", "mood")


@dataclass(frozen=True)
class Answers:
    """What N users do with one item each."""

    clicked: np.ndarray  # bool [N]
    carted: np.ndarray  # bool [N], only of the clicked
    bought: np.ndarray  # bool [N], only of the carted
    liked: np.ndarray  # bool [N], only of the clicked
    disliked: np.ndarray  # bool [N], only of the clicked and never of the liked
    refused: np.ndarray  # bool [N], looked at and not clicked: "not interested"
    seconds: np.ndarray  # float64 [N], dwell time; NaN where not clicked
    rating: np.ndarray  # float64 [N], 1 to 5; NaN where not rated


def examination(rank: np.ndarray, bias: float = POSITION_BIAS) -> np.ndarray:
    """[N] the chance that a user looks at each rank, counted from 1: 1, 0.87, ... 0.43 at 10."""
    return 1.0 / (1.0 + bias * (np.asarray(rank, dtype=float) - 1.0))


def choose(
    rank: np.ndarray, affinity: np.ndarray, draws: np.ndarray, bias: float = POSITION_BIAS
) -> Answers:
    """Answer N items.

    Args:
        rank: int64 [N], from 1.
        affinity: float64 [N], chance of a click on what was looked at.
        draws: float64 [len(DRAWS), N], uniform in [0, 1), a row for each of `DRAWS`.
        bias: how quickly attention falls with the rank.
    """
    drawn = dict(zip(DRAWS, draws, strict=True))
    looked = drawn["look"] < examination(rank, bias)
    clicked = looked & (drawn["click"] < affinity)
    carted = clicked & (drawn["cart"] < CART_SHARE)
    bought = carted & (drawn["buy"] < BUY_SHARE)
    rated = bought & (drawn["rate"] < RATE_SHARE)
    against = 1.0 - affinity
    stars = np.rint(2.2 + 2.8 * affinity + 2.0 * (drawn["stars"] - 0.5)).clip(1, 5)
    stay = -STAY * (0.2 + affinity) * np.log1p(-drawn["stay"])  # exponential
    return Answers(
        clicked=clicked,
        carted=carted,
        bought=bought,
        liked=clicked & (drawn["mood"] < LIKE_SHARE),
        disliked=clicked & (drawn["mood"] >= 1.0 - DISLIKE_SHARE * against),
        refused=looked & ~clicked & (drawn["mood"] < REFUSE_SHARE * against),
        seconds=np.where(clicked, stay.round(1), np.nan),
        rating=np.where(rated, stars, np.nan),
    )
