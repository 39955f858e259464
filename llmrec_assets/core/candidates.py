"""Which items of each user are worth a second look, and what is known of each pair.

Legend: B users, V items, E experts, n candidates of all users of a block.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from llmrec_assets.core.item_clock import NAMES as CLOCK_NAMES
from llmrec_assets.core.item_clock import ItemClock
from llmrec_assets.core.sequences import Sequences, flat_rows

UNSEEN, SEEN = 200, 20  # most candidates of a user that are new to it, and that are not
_RECENT = 10  # newest events that describe a user
_DAY = 86400e6  # microseconds
_PAIR = ("times_seen", "steps_since_seen")
_USER = ("history_length", "last_gap", "share_at_last_time", "taste_for_popular")


@dataclass(frozen=True)
class Candidates:
    """Pairs of a user and an item, each user's together."""

    rows: torch.Tensor  # int64 [n], the user's place in the block
    codes: torch.Tensor  # int64 [n], item codes
    features: torch.Tensor  # float32 [n, F]


def feature_names(experts: Mapping[str, object]) -> list[str]:
    """What the columns of `Candidates.features` are."""
    return ["prior", *experts, *CLOCK_NAMES, *_PAIR, *_USER]


def find_candidates(
    prior_BV: torch.Tensor,
    scored: Mapping[str, torch.Tensor],
    clock: ItemClock,
    sequences: Sequences,
    ends: np.ndarray,
    users: np.ndarray,
) -> Candidates:
    """Each history's likeliest items under a prior, new ones and seen ones, and their features.

    Args:
        prior_BV: log-probabilities of items 1..V.
        scored: each expert's own, [B, V].
        clock: of the events that the experts were fitted on.
        sequences: the events.
        ends: int64 [B], absolute position after each history's last event.
        users: int64 [B], whose histories they are. One without an item that others touched has no
            candidate: the corrections were learnt where counting says something.
    """
    history = _History(prior_BV, sequences, ends, users)
    chosen_BV = _best(prior_BV, history.count_BV == 0, UNSEEN)
    chosen_BV |= _best(prior_BV, history.count_BV > 0, SEEN)
    others_V = torch.from_numpy(clock.counts[1:]) > history.count_BV
    chosen_BV[~(others_V & (history.count_BV > 0)).any(1)] = False
    rows, columns = chosen_BV.nonzero(as_tuple=True)
    parts = [scores_BV[rows, columns, None] for scores_BV in (prior_BV, *scored.values())]
    times = sequences.times[ends[rows.numpy()] - 1]
    parts.append(torch.from_numpy(clock.at(columns.numpy() + 1, times)))
    parts += [history.of_pairs(rows, columns), history.of_users(clock)[rows]]
    return Candidates(rows, columns + 1, torch.cat(parts, 1).float())


def _best(prior_BV: torch.Tensor, wanted_BV: torch.Tensor, most: int) -> torch.Tensor:
    """Where the `most` likeliest of the wanted items are, bool [B, V]."""
    masked_BV = prior_BV.masked_fill(~wanted_BV, float("-inf"))
    best = masked_BV.topk(min(most, masked_BV.shape[1]), 1)
    return torch.zeros_like(wanted_BV).scatter_(1, best.indices, best.values > float("-inf"))


class _History:
    """What each user of a block did, as numbers."""

    def __init__(
        self, like_BV: torch.Tensor, sequences: Sequences, ends: np.ndarray, users: np.ndarray
    ) -> None:
        self.sequences, self.ends, self.starts = sequences, ends, sequences.starts[users]
        self.lengths = ends - self.starts
        positions, rows = flat_rows(self.starts, ends)
        items = sequences.items[positions].astype(np.int64) - 1
        flat = torch.from_numpy(rows * like_BV.shape[1] + items)
        ages = torch.from_numpy(ends[rows] - positions).float()
        count = torch.zeros(like_BV.numel()).index_add_(0, flat, torch.ones(len(flat)))
        age = torch.zeros(like_BV.numel()).scatter_reduce_(
            0, flat, ages, "amin", include_self=False
        )
        self.count_BV, self.age_BV = count.view_as(like_BV), age.view_as(like_BV)

    def of_pairs(self, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
        """How often and how long ago the user had each item, in logarithms: [n, 2]."""
        return torch.stack([self.count_BV[rows, columns], self.age_BV[rows, columns]], 1).log1p()

    def of_users(self, clock: ItemClock) -> torch.Tensor:
        """Length, pace and taste for the popular of each history: [B, 4]."""
        sequences, last = self.sequences, np.maximum(self.ends - 1, self.starts)
        last = np.minimum(last, len(sequences.times) - 1)  # of a user without events, any
        now = sequences.times[last]
        gap = now - sequences.times[np.maximum(last - 1, np.minimum(self.starts, last))]
        positions, rows = flat_rows(np.maximum(self.starts, self.ends - _RECENT), self.ends)
        n = np.maximum(np.bincount(rows, minlength=len(now)), 1)
        together = sequences.times[positions] == now[rows]
        popular = clock.at(sequences.items[positions], now[rows])[:, 0]
        columns = [
            np.log1p(self.lengths),
            np.zeros(len(now)) if sequences.relative else np.log1p(gap / _DAY),
            np.bincount(rows, together, len(now)) / n,
            np.bincount(rows, popular, len(now)) / n,
        ]
        return torch.from_numpy(np.column_stack(columns).astype(np.float32))
