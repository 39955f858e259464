"""One scoring interface for networks and baselines, and the lists and judgements made from it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from llmrec_assets.core.metrics import CUTS, Ranks, ranks, summarise
from llmrec_assets.core.sequences import Sequences, flat_rows

NEVER = float("-inf")
GROUP = 64  # columns whose maximum is taken first


class Scorer(Protocol):
    """Anything that says how likely each item is next."""

    def logits(self, sequences: Sequences, ends: np.ndarray, users: np.ndarray) -> torch.Tensor:
        """Score all items.

        Args:
            sequences: the events.
            ends: int64 [B], absolute position after each history's last event.
            users: int64 [B], whose histories they are.

        Returns:
            [B, V+1]: scores whose softmax over items 1..V is the probability of each being next,
            given every event of `users[b]` before `ends[b]`. Column 0 is -inf.
        """
        ...


@dataclass(frozen=True)
class Evaluation:
    """Where a scorer ranked each user's target among all items."""

    users: np.ndarray  # int64 [n]
    targets: np.ndarray  # int64 [n], item codes
    masked_ranks: Ranks  # [n], items of the history are no candidates
    ranks: Ranks  # [n], all items are candidates
    shown: np.ndarray  # int64 [n, 20], the list, 0 = none

    def summary(self) -> dict[str, float]:
        """Mean metrics: `masked_*`, and unmasked without a prefix."""
        masked = {f"masked_{name}": mean for name, mean in summarise(self.masked_ranks).items()}
        return {**masked, **summarise(self.ranks)}


@dataclass(frozen=True)
class TopItems:
    """Lists of k items, best first; code 0, score -inf and probability 0 where items ran out."""

    codes: torch.Tensor  # int64 [B, k]
    scores: torch.Tensor  # float32 [B, k], the scorer's logits
    probabilities: torch.Tensor  # float32 [B, k], of the item among all items, seen ones too


def evaluate(
    scorer: Scorer,
    sequences: Sequences,
    targets: np.ndarray,
    block: int = 256,
    watch: Callable[[torch.Tensor, Sequences, np.ndarray], None] | None = None,
    hide_seen: bool = True,
) -> Evaluation:
    """Rank every target (int64 [U], absolute position, -1 = none) given the events before it.

    Only `block` users' scores are held at a time. The result is the same for any block, but for
    the rounding of matrix products. `watch` sees the scores [B, V+1] and whose they are (int64
    [B]), and leaves them as they are. `hide_seen` is whether the lists that are kept leave out the
    items of the history; ranks are told both ways.
    """
    users = np.flatnonzero(targets >= 0)
    masked, unmasked, shown = [], [], [np.zeros((0, max(CUTS)), np.int64)]
    for chosen in np.split(users, range(block, len(users), block)):
        if len(chosen) == 0:
            continue
        ends = targets[chosen]
        logits = scorer.logits(sequences, ends, chosen)
        if watch is not None:
            watch(logits, sequences, chosen)
        items = sequences.items[ends].astype(np.int64)
        unmasked.append(ranks(logits, torch.from_numpy(items)))
        masked.append(_without_seen(unmasked[-1], logits, items, sequences, ends, chosen))
        if hide_seen:
            exclude_seen(logits, sequences, ends, chosen)
        shown.append(best(logits, max(CUTS)).numpy())
    return Evaluation(
        users=users,
        targets=sequences.items[targets[users]].astype(np.int64),
        masked_ranks=Ranks.joined(masked),
        ranks=Ranks.joined(unmasked),
        shown=np.concatenate(shown),
    )


def _without_seen(
    ranks: Ranks,
    logits: torch.Tensor,
    items: np.ndarray,
    sequences: Sequences,
    ends: np.ndarray,
    users: np.ndarray,
) -> Ranks:
    """The same ranks were the items of each history, but the target, no candidates."""
    positions, rows = flat_rows(sequences.starts[users], ends)
    width = logits.shape[1]
    pairs = np.unique(rows * width + sequences.items[positions])
    rows, seen = pairs // width, pairs % width
    rows, seen = rows[seen != items[rows]], seen[seen != items[rows]]
    theirs, own = logits[rows, seen].numpy(), logits[rows, items[rows]].numpy()
    # What is no candidate stays tied with a target that is none.
    better, no_worse = theirs > own, (theirs >= own) & (own > NEVER)
    n = len(items)
    return Ranks(
        ranks.first - np.bincount(rows[better], minlength=n),
        ranks.last - np.bincount(rows[no_worse], minlength=n),
    )


def top_k(
    scorer: Scorer,
    sequences: Sequences,
    users: np.ndarray,
    k: int,
    ends: np.ndarray | None = None,
    hide_seen: bool = True,
    allowed: np.ndarray | None = None,
) -> TopItems:
    """The k likeliest next items of each user of a block.

    Args:
        scorer: what ranks.
        sequences: the events.
        users: int64 [B]; as many as there is room for [B, V+1] scores.
        k: items a list.
        ends: int64 [B], where the histories end; each user's newest event when not given.
        hide_seen: leave out the items of the history.
        allowed: bool [V+1], items that may be shown; all when not given.
    """
    ends = sequences.offsets[users + 1] if ends is None else ends
    logits = scorer.logits(sequences, ends, users)
    probabilities = logits.softmax(1)
    if hide_seen:
        exclude_seen(logits, sequences, ends, users)
    if allowed is not None:
        logits[:, torch.from_numpy(~allowed)] = NEVER
    codes = best(logits, k)
    scores = logits.gather(1, codes)
    return TopItems(codes, scores, probabilities.gather(1, codes) * (codes > 0))


def exclude_seen(
    logits: torch.Tensor, sequences: Sequences, ends: np.ndarray, users: np.ndarray
) -> None:
    """Set the scores of all items of each user's history to -inf, in place."""
    positions, rows = flat_rows(sequences.starts[users], ends)
    seen = torch.from_numpy(sequences.items[positions].astype(np.int64))
    logits[torch.from_numpy(rows), seen] = NEVER


def best(scores: torch.Tensor, k: int) -> torch.Tensor:
    """Columns of each row's k highest scores, best first, the lower column where scores tie.

    Returns:
        int64 [B, k], 0 where fewer than k scores are above -inf.
    """
    depth = min(k, scores.shape[1])
    found, codes = _largest(scores, min(k + 1, scores.shape[1]))
    # topk chooses as it likes among items that tie for the last places.
    crowded = (found[:, depth:] == found[:, depth - 1 : depth]).any(1)
    codes = codes[:, :depth]
    if crowded.any():
        codes[crowded] = _leftmost(scores[crowded], found[crowded, depth - 1 : depth], depth)
    codes = codes.sort(dim=1).values
    found, order = scores.gather(1, codes).sort(dim=1, descending=True, stable=True)
    codes = codes.gather(1, order).masked_fill(found == NEVER, 0)
    return torch.nn.functional.pad(codes, (0, k - depth))


def _largest(scores: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """`topk` of each row: values and columns [B, k], any of those that tie for the last places.

    The k highest scores lie in the k groups of columns whose maxima are highest, and maxima are
    found several times as fast as an order.
    """
    n_groups = scores.shape[1] // GROUP
    if n_groups < 2 * k:
        return scores.topk(k, 1)
    grouped = scores[:, : n_groups * GROUP].unflatten(1, (n_groups, GROUP))
    groups = grouped.amax(2).topk(k, 1, sorted=False).indices
    columns = (groups[:, :, None] * GROUP + torch.arange(GROUP)).flatten(1)
    rest = torch.arange(n_groups * GROUP, scores.shape[1]).expand(len(scores), -1)
    columns = torch.cat([columns, rest], 1)
    found, places = scores.gather(1, columns).topk(k, 1)
    return found, columns.gather(1, places)


def _leftmost(scores: torch.Tensor, last: torch.Tensor, k: int) -> torch.Tensor:
    """The columns of all scores above `last` [B, 1], then of equal ones from the left: [B, k]."""
    above, tied = scores > last, scores == last
    room = k - above.sum(1, keepdim=True)
    kept = above | (tied & (tied.cumsum(1, dtype=torch.int32) <= room))
    return kept.nonzero()[:, 1].view(len(scores), k)
