"""Likeness of texts for few histories: roughly for all items, exactly where it matters.

For one history the product with all text vectors is bound by memory, and eight bits a number are
a quarter of it. What can reach a list, with a margin, is then compared exactly, so lists are those
of the exact product but for the rounding of the sum over all items by which probabilities are
divided.

Legend: B histories, V items, D numbers of an embedding.
"""

from dataclasses import replace

import numpy as np
import torch

from llmrec_assets.core.baselines import without_padding
from llmrec_assets.core.blend import log_probabilities
from llmrec_assets.core.candidates import UNSEEN, Candidates, find_candidates
from llmrec_assets.core.content import FLOOR, TextSimilarity
from llmrec_assets.core.online import Snapshot
from llmrec_assets.core.recommender import Recommender
from llmrec_assets.core.sequences import Sequences, recent

_MARGIN = 100  # items beyond the candidates that are compared exactly
_LEAST_ITEMS = 5_000  # of a catalogue for which this is quicker
_TEXTS = "texts"


class RoughTexts:
    """A `TextSimilarity` whose embeddings are read in eight bits each (one scale an item)."""

    def __init__(self, exact: TextSimilarity) -> None:
        self.exact = exact
        scales = exact.vectors.abs().amax(1).clamp_min(1e-12) / 127
        self.rough = (exact.vectors / scales[:, None]).round().to(torch.int8).contiguous()
        self.scales = scales.to(torch.bfloat16)

    def history(self, sequences: Sequences, ends: np.ndarray, users: np.ndarray) -> torch.Tensor:
        """What each history was about: [B, D]."""
        exact = self.exact
        asked = recent(sequences, ends, users, exact.recent, exact.decay)
        return torch.from_numpy(asked.mixed(exact.vectors.numpy()))

    def logits(self, history_BD: torch.Tensor) -> torch.Tensor:
        """Logarithms of similarity, [B, V+1], about."""
        rounded = history_BD.to(torch.bfloat16)
        product = torch._weight_int8pack_mm  # pyright: ignore[reportPrivateImportUsage]
        cosine = product(rounded, self.rough, self.scales).float()
        return without_padding(cosine.clamp_min_(0).add_(FLOOR).log_())

    def exact_logits(self, history_D: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        """The same of some items, exactly: [n]."""
        cosine = torch.mv(self.exact.vectors[codes], history_D)
        return cosine.clamp_min_(0).add_(FLOOR).log_()


class QuickRecommender(Recommender):
    """The same recommender, with a rough first look at the texts."""

    def __init__(self, whole: Recommender, texts: TextSimilarity) -> None:
        super().__init__(whole.experts, whole.powers, whole.reranker)
        self.texts = RoughTexts(texts)

    @torch.no_grad()
    def opinions(
        self, sequences: Sequences, ends: np.ndarray, users: np.ndarray
    ) -> tuple[dict[str, torch.Tensor], torch.Tensor, Candidates]:
        """As of any recommender; texts are exact where an item can reach a list."""
        history_BD = self.texts.history(sequences, ends, users)
        rough_BV = self.texts.logits(history_BD)
        scored = {
            name: rough_BV.log_softmax(1)[:, 1:]
            if name == _TEXTS
            else log_probabilities(expert, sequences, ends, users)
            for name, expert in self.experts.all.items()
        }
        prior_BV = self._prior(scored)
        power, depth = self.shares[_TEXTS], min(UNSEEN + _MARGIN, prior_BV.shape[1])
        likeliest = prior_BV.topk(depth, 1, sorted=False).indices + 1
        for row, (user, end) in enumerate(zip(users.tolist(), ends.tolist(), strict=True)):
            seen = sequences.items[sequences.offsets[user] : end].astype(np.int64)
            codes = torch.cat([likeliest[row], torch.from_numpy(seen)])  # twice is no harm below
            change = self.texts.exact_logits(history_BD[row], codes) - rough_BV[row, codes]
            scored[_TEXTS][row, codes - 1] += change
            prior_BV[row, codes - 1] += power * change
        found = find_candidates(prior_BV, scored, self.experts.clock, sequences, ends, users)
        return scored, prior_BV, found


def quickened(snapshot: Snapshot) -> Snapshot:
    """The snapshot with a quicker scorer, where one is known; else as it is.

    Lists may differ where scores differ by no more than rounding: who serves it compares.
    """
    scorer = snapshot.scorer
    if not isinstance(scorer, Recommender) or scorer.reranker is None:
        return snapshot
    texts = scorer.experts.prior.get(_TEXTS)
    if not isinstance(texts, TextSimilarity) or snapshot.n_items < _LEAST_ITEMS:
        return snapshot
    if not hasattr(torch, "_weight_int8pack_mm"):  # no promise of PyTorch's
        return snapshot
    return replace(snapshot, scorer=QuickRecommender(scorer, texts))
