"""A simulator of users: how they would answer the lists they are shown.

Nobody is behind these responses. They close the circle of the demo, and stand where the feedback
of a real service would land: impressions, clicks with the seconds that users stay, carts,
purchases, ratings, likes, dislikes and "not interested". What is chosen, `choices` says; here the
choices become rows with ids and times, and a file.
"""

from collections.abc import Iterable
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from llmrec_assets.datasets.choices import DRAWS, POSITION_BIAS, choose
from llmrec_assets.datasets.landing import replace_text

COLUMNS = [
    "feedback_id", "list_id", "user_id", "item_id", "rank", "timestamp", "response", "value",
]  # fmt: skip
# Seconds after the list is shown: an impression a rank, then the answers from top to bottom.
FIRST_ANSWER, ANSWER_EVERY = 120, 90
AFTER = {"cart": 20, "buy": 40, "dwell": 50, "like": 60, "dislike": 60, "rate": 80}


class Affinity(Protocol):
    """What the simulator asks of a truth; the generated shop's is `shop_truth.Truth`."""

    def affinity(
        self, users: np.ndarray, items: np.ndarray, time: datetime | pd.Timestamp | np.ndarray
    ) -> np.ndarray:
        """[N] the chance, 0 to 1, that each user clicks the item in the same place."""
        ...


def simulate_responses(
    lists: pd.DataFrame,
    truth: Affinity,
    seed: int,
    at: datetime | pd.Timestamp,
    position_bias: float = POSITION_BIAS,
) -> pd.DataFrame:
    """Answer the lists shown at `at` (UTC where it has no zone); the result is in order of time.

    Args:
        lists: columns list_id, user_id, item_id, rank (from 1); a pair (list_id, item_id) once.
        truth: what users want.
        seed: a draw depends on it and on (list_id, item_id) alone: neither on the order of rows
            nor on the other lists.
        at: when every list is shown.
        position_bias: how quickly attention falls with the rank.

    Returns:
        Columns `COLUMNS`, a row a response: impression, click, dwell, cart, buy, rate, like,
        dislike or not_interested; `value` is the seconds of a dwell and the stars of a rating. A
        `feedback_id` names (list_id, item_id, response), so that sending it twice changes nothing.
    """
    shown = lists[["list_id", "user_id", "item_id", "rank"]].reset_index(drop=True)
    rank = shown["rank"].to_numpy(dtype=int)
    affinity = truth.affinity(shown["user_id"].to_numpy(), shown["item_id"].to_numpy(), at)
    said = choose(rank, affinity, _draws(seed, shown["list_id"], shown["item_id"]), position_bias)
    responses = {
        "impression": np.ones(len(shown), dtype=bool),
        "click": said.clicked,
        "cart": said.carted,
        "buy": said.bought,
        "dwell": ~np.isnan(said.seconds),
        "like": said.liked,
        "dislike": said.disliked,
        "rate": ~np.isnan(said.rating),
        "not_interested": said.refused,
    }
    values = {"dwell": said.seconds, "rate": said.rating}
    rows = []
    for name, mask in responses.items():
        answered = rank if name == "impression" else FIRST_ANSWER + ANSWER_EVERY * rank
        seconds = answered[mask] + AFTER.get(name, 0)
        value = values.get(name, np.full(len(shown), np.nan))[mask]
        rows.append(_rows(shown[mask].assign(value=value), name, seconds, at))
    order = ["timestamp", "list_id", "rank", "feedback_id"]
    return pd.concat(rows).sort_values(order, kind="stable", ignore_index=True)[COLUMNS]


def write_feedback(frame: pd.DataFrame, landing_feedback: Path) -> Path:
    """Write `simulated-feedback-<hash>.jsonl`, replaced as a whole, and return its path.

    The hash is of the content: the same responses give the same file.
    """
    text = frame.to_json(orient="records", lines=True, force_ascii=False) or ""
    digest = blake2b(text.encode(), digest_size=8).hexdigest()
    path = landing_feedback / f"simulated-feedback-{digest}.jsonl"
    replace_text(path, text)
    return path


def _rows(
    shown: pd.DataFrame, response: str, seconds: np.ndarray, at: datetime | pd.Timestamp
) -> pd.DataFrame:
    """One kind of response: `seconds` [rows] after `at`."""
    moments = pd.to_datetime(pd.Timestamp(at), utc=True) + pd.to_timedelta(seconds, unit="s")
    names = zip(shown["list_id"], shown["item_id"], strict=True)
    ids = [f"f{_digest(*name, response).hex()[:20]}" for name in names]
    return shown.assign(
        feedback_id=pd.Series(ids, index=shown.index, dtype="str"),  # text even without rows
        timestamp=moments.strftime("%Y-%m-%dT%H:%M:%SZ").astype("str"),
        response=response,
    )


def _draws(seed: int, list_ids: Iterable[object], item_ids: Iterable[object]) -> np.ndarray:
    """[len(DRAWS), N] uniform in [0, 1), read off a hash of the seed and the names."""
    names = zip(list_ids, item_ids, strict=True)
    size = 8 * len(DRAWS)
    digests = b"".join(_digest(seed, list_id, item_id, size=size) for list_id, item_id in names)
    # 53 bits, all that a float64 holds: the largest would else be rounded up to 1.
    whole = np.frombuffer(digests, dtype="<u8").reshape(-1, len(DRAWS)).T >> np.uint64(11)
    return whole / 2.0**53


def _digest(*parts: object, size: int = 32) -> bytes:
    """`size` bytes; a separator that no id contains keeps the parts apart."""
    return blake2b("\x1f".join(map(str, parts)).encode(), digest_size=size).digest()
