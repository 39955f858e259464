"""A simulator of users: how they would answer the lists they are shown.

Nobody is behind these responses. They close the circle of the demo, and stand where the feedback
of a real service would land. The user looks at rank r with probability `examination(r)` and clicks
what was looked at with the affinity that a hidden truth gives; a share of clicks is bought or
liked, and a few items that were looked at and not clicked are marked not interested.
"""

from collections.abc import Iterable
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from llmrec_assets.datasets.landing import replace_text

BUY_SHARE, LIKE_SHARE = 0.25, 0.12  # of the clicks
DISLIKE_SHARE = 0.02  # of what was looked at and not clicked, at an affinity of 0
COLUMNS = [
    "feedback_id", "list_id", "user_id", "item_id", "rank", "timestamp", "response",
]  # fmt: skip
# Seconds after the list is shown: an impression a rank, then the answers from top to bottom.
FIRST_ANSWER, ANSWER_EVERY, BUY_AFTER, LIKE_AFTER = 120, 90, 40, 70


class Affinity(Protocol):
    """What the simulator asks of a truth; the generated shop's is `shop_truth.Truth`."""

    def affinity(
        self, users: np.ndarray, items: np.ndarray, time: datetime | pd.Timestamp | np.ndarray
    ) -> np.ndarray:
        """[N] the chance, 0 to 1, that each user clicks the item in the same place."""
        ...


def examination(rank: np.ndarray) -> np.ndarray:
    """[N] the chance that a user looks at each rank, counted from 1: 1, 0.87, ... 0.43 at 10."""
    return 1.0 / (1.0 + 0.15 * (np.asarray(rank, dtype=float) - 1.0))


def simulate_responses(
    lists: pd.DataFrame, truth: Affinity, seed: int, at: datetime | pd.Timestamp
) -> pd.DataFrame:
    """Answer the lists shown at `at` (UTC where it has no zone); the result is in order of time.

    Args:
        lists: columns list_id, user_id, item_id, rank (from 1); a pair (list_id, item_id) once.
        truth: what users want.
        seed: a draw depends on it and on (list_id, item_id) alone: neither on the order of rows
            nor on the other lists.
        at: when every list is shown.

    Returns:
        Columns `COLUMNS`, a row a response: impression, click, buy, like or not_interested. A
        `feedback_id` names (list_id, item_id, response), so that sending it twice changes nothing.
    """
    shown = lists[["list_id", "user_id", "item_id", "rank"]].reset_index(drop=True)
    rank = shown["rank"].to_numpy(dtype=int)
    affinity = truth.affinity(shown["user_id"].to_numpy(), shown["item_id"].to_numpy(), at)
    look, click, buy, other = _draws(seed, shown["list_id"], shown["item_id"])
    looked = look < examination(rank)
    clicked = looked & (click < affinity)
    refused = looked & ~clicked & (other < DISLIKE_SHARE * (1.0 - affinity))
    answered = FIRST_ANSWER + ANSWER_EVERY * rank
    responses = (
        ("impression", np.ones(len(shown), dtype=bool), rank),
        ("click", clicked, answered),
        ("buy", clicked & (buy < BUY_SHARE), answered + BUY_AFTER),
        ("like", clicked & (other < LIKE_SHARE), answered + LIKE_AFTER),
        ("not_interested", refused, answered),
    )
    rows = [_rows(shown[mask], name, delay[mask], at) for name, mask, delay in responses]
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
    """[4, N] uniform in [0, 1), read off a hash of the seed and the names."""
    names = zip(list_ids, item_ids, strict=True)
    digests = b"".join(_digest(seed, list_id, item_id) for list_id, item_id in names)
    return np.frombuffer(digests, dtype="<u8").reshape(-1, 4).T / 2.0**64


def _digest(*parts: object) -> bytes:
    """32 bytes; a separator that no id contains keeps the parts apart."""
    return blake2b("\x1f".join(map(str, parts)).encode(), digest_size=32).digest()
