"""More of some users' likeliest items than a list holds, kept while they are ranked anyway."""

from dataclasses import dataclass

import numpy as np
import torch

from llmrec_assets.core.ranking import NEVER, best, exclude_seen
from llmrec_assets.core.sequences import Sequences

DEPTH = 200  # items of a user


@dataclass(frozen=True)
class DeepLists:
    """The likeliest items of some users; where lists hide what was seen, those of the
    history are none, but for the target."""

    targets: np.ndarray  # int64 [n], item codes
    codes: np.ndarray  # int64 [n, DEPTH], 0 = none
    scores: np.ndarray  # float32 [n, DEPTH], log-probabilities, -inf = none


class DeepListsKept:
    """Sees the scores of all judged users and keeps the likeliest items of those drawn."""

    def __init__(self, targets: np.ndarray, most: int, seed: int, hide_seen: bool = True) -> None:
        """Draw at most `most` of the users with a target (int64 [U], position, -1 = none)."""
        self.targets, self.hide_seen = targets, hide_seen
        self.drawn = np.zeros(len(targets), dtype=bool)
        users = np.flatnonzero(targets >= 0)
        self.drawn[np.random.default_rng(seed).permutation(users)[:most]] = True
        self.blocks: list[DeepLists] = []

    def __call__(self, logits: torch.Tensor, sequences: Sequences, users: np.ndarray) -> None:
        """Keep what is wanted of a block of scores [B, V+1] of all items for users [B]."""
        rows = np.flatnonzero(self.drawn[users])
        if not len(rows):
            return
        users, ends = users[rows], self.targets[users[rows]]
        items = sequences.items[ends].astype(np.int64)
        # The logarithms of the probabilities of all items, so that they mean the same everywhere.
        scores = logits[torch.from_numpy(rows)].log_softmax(1)
        targets = (torch.arange(len(rows)), torch.from_numpy(items))
        own = scores[targets]
        if self.hide_seen:
            exclude_seen(scores, sequences, ends, users)
            scores[targets] = own
        codes = best(scores, DEPTH)
        found = scores.gather(1, codes).masked_fill(codes == 0, NEVER)
        self.blocks.append(DeepLists(items, codes.numpy(), found.numpy()))

    def lists(self) -> DeepLists | None:
        """Of all blocks; None where nobody was drawn."""
        if not self.blocks:
            return None
        names = ("targets", "codes", "scores")
        return DeepLists(*(np.concatenate([getattr(b, n) for b in self.blocks]) for n in names))
