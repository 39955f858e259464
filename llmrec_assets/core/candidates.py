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
    history = _History(prior_BV.shape[1], sequences, ends, users)
    told = history.touched_by_others(clock)
    pairs = np.concatenate([_new(prior_BV, history), _seen(prior_BV, history)])
    pairs = np.sort(pairs[told[pairs // history.n_items]])
    rows, columns = np.divmod(pairs, history.n_items)
    at = (torch.from_numpy(rows), torch.from_numpy(columns))
    parts = [scores_BV[at][:, None] for scores_BV in (prior_BV, *scored.values())]
    parts.append(torch.from_numpy(clock.at(columns + 1, sequences.times[ends[rows] - 1])))
    parts += [history.of_pairs(pairs), history.of_users(clock)[at[0]]]
    return Candidates(at[0], at[1] + 1, torch.cat(parts, 1))


def _new(prior_BV: torch.Tensor, history: "_History") -> np.ndarray:
    """The likeliest pairs that no history has, int64 [n]."""
    masked_BV = prior_BV.clone()
    masked_BV.view(-1)[torch.from_numpy(history.pairs)] = float("-inf")
    best = masked_BV.topk(min(UNSEEN, history.n_items), 1, sorted=False)
    rows, places = (best.values > float("-inf")).nonzero(as_tuple=True)
    return (rows * history.n_items + best.indices[rows, places]).numpy()


def _seen(prior_BV: torch.Tensor, history: "_History") -> np.ndarray:
    """The likeliest pairs of each history, int64 [n]."""
    rows, columns = np.divmod(history.pairs, history.n_items)
    values = prior_BV[torch.from_numpy(rows), torch.from_numpy(columns)].numpy()
    order = np.lexsort((-values, rows))
    # Rows stay where they are, so that a pair's place in its row is counted from the row's first.
    place = np.arange(len(rows)) - np.searchsorted(rows, rows)
    return history.pairs[order[(place < SEEN) & (values[order] > float("-inf"))]]


class _History:
    """What each user of a block did, as numbers; a pair is row * V + column."""

    def __init__(
        self, n_items: int, sequences: Sequences, ends: np.ndarray, users: np.ndarray
    ) -> None:
        self.n_items, self.sequences = n_items, sequences
        self.ends, self.starts = ends, sequences.starts[users]
        self.lengths = ends - self.starts
        positions, rows = flat_rows(self.starts, ends)
        pairs = rows * n_items + sequences.items[positions] - 1
        order = np.argsort(pairs, kind="stable")  # of equal ones the newest last
        self.pairs, first = np.unique(pairs[order], return_index=True)
        after = np.append(first[1:], len(pairs))[: len(first)]
        newest = order[after - 1]
        self.known = np.column_stack([after - first, ends[rows[newest]] - positions[newest]])

    def touched_by_others(self, clock: ItemClock) -> np.ndarray:
        """Whether each history has an item that not only its own user touched, bool [B]."""
        rows, columns = np.divmod(self.pairs, self.n_items)
        others = clock.counts[columns + 1] > self.known[:, 0]
        return np.bincount(rows[others], minlength=len(self.lengths)) > 0

    def of_pairs(self, pairs: np.ndarray) -> torch.Tensor:
        """How often and how long ago the user had each item, in logarithms: float32 [n, 2]."""
        known = np.zeros((len(pairs), 2), dtype=np.float32)
        known[np.isin(pairs, self.pairs, assume_unique=True)] = self.known[
            np.isin(self.pairs, pairs, assume_unique=True)
        ]
        return torch.from_numpy(known).log1p()

    def of_users(self, clock: ItemClock) -> torch.Tensor:
        """Length, pace and taste for the popular of each history: [B, 4]."""
        if not len(self.sequences.times):  # nobody here has an event: there is no pair to tell of
            return torch.zeros(len(self.lengths), len(_USER))
        sequences, last = self.sequences, np.maximum(self.ends - 1, self.starts)
        times = sequences.times if len(sequences.times) else np.zeros(1, dtype=np.int64)
        last = np.minimum(last, len(times) - 1)  # of a user without events, any
        now = times[last]
        gap = now - times[np.maximum(last - 1, np.minimum(self.starts, last))]
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
