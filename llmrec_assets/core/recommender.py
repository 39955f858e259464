"""What serves: experts of different kinds, the prior they agree on, and a second look at its top.

Counting is strong where pairs of items recur, texts where they do not, and a network where order
and context matter. `fit_recommender` learns how far to trust each from targets that none of them
was fitted on.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from llmrec_assets.core.baselines import DecayedMarkov
from llmrec_assets.core.blend import fit_powers, log_probabilities
from llmrec_assets.core.blocks import parts_of
from llmrec_assets.core.candidates import Candidates, feature_names, find_candidates
from llmrec_assets.core.content import HistorySimilarity, TextSimilarity, WordSimilarity
from llmrec_assets.core.counting import counted_ends, occurrences
from llmrec_assets.core.item_clock import ItemClock
from llmrec_assets.core.neighbours import ItemNeighbours
from llmrec_assets.core.networks.model import NextItemModel
from llmrec_assets.core.networks.scoring import NetworkScorer
from llmrec_assets.core.ranking import Scorer
from llmrec_assets.core.reranker import Examples, Reranker, fit_reranker, log_total
from llmrec_assets.core.sequences import Catalogue, Sequences

HISTORIES = "histories"  # the name of the expert that reads texts of whole histories


@dataclass(frozen=True)
class Experts:
    """Everything that scores items, fitted on one span of events."""

    prior: dict[str, Scorer]  # whose agreement is the prior
    further: dict[str, Scorer]  # what only the second look considers
    clock: ItemClock

    @property
    def n_items(self) -> int:
        """V."""
        return self.clock.n_items

    @property
    def all(self) -> dict[str, Scorer]:
        """Prior's and further ones."""
        return {**self.prior, **self.further}


def make_experts(
    model: NextItemModel | None,
    sequences: Sequences,
    catalogue: Catalogue,
    train_end: np.ndarray,
    histories: bool = False,
) -> Experts:
    """The network, and all that counts or compares, from the events before `train_end`.

    Where there are too many, a share of the users is counted (`counted_ends`).

    With `histories` their expert is there also where no history was told; it then has no opinion.
    """
    n_items = catalogue.n_items
    trained = occurrences(sequences, sequences.items, train_end, n_items + 1) > 0
    span = (sequences, n_items, counted_ends(sequences, train_end, n_items))
    prior: dict[str, Scorer] = {} if model is None else {"network": NetworkScorer(model)}
    prior["decayed_markov"] = DecayedMarkov(*span)
    prior["item_neighbours"] = ItemNeighbours(*span)
    if len(catalogue.words):
        prior["words"] = WordSimilarity(catalogue, trained)
    if len(catalogue.embeddings):
        prior["texts"] = texts = TextSimilarity(catalogue, trained)
        if histories or len(sequences.history_rows):
            prior[HISTORIES] = HistorySimilarity(sequences, catalogue.embeddings, train_end, texts)
    further: dict[str, Scorer] = {"last_item": DecayedMarkov(*span, steps=1, shrink=5.0)}
    return Experts(prior, further, ItemClock(*span))


class Recommender:
    """A `Scorer`: prior over all items, its likeliest put in order by the reranker.

    Reordering moves probability only among a user's candidates, so the whole stays a distribution
    over the catalogue.
    """

    def __init__(
        self, experts: Experts, powers: Mapping[str, float], reranker: Reranker | None
    ) -> None:
        """Raises KeyError when an expert of the prior has no power."""
        self.experts, self.powers, self.reranker = experts, powers, reranker
        self.shares = {name: powers[name] for name in experts.prior}

    @torch.no_grad()
    def logits(self, sequences: Sequences, ends: np.ndarray, users: np.ndarray) -> torch.Tensor:
        """[B, V+1] log-probabilities of the next item."""
        logits = torch.full((len(users), self.experts.n_items + 1), float("-inf"))
        for part in parts_of(len(users), self.experts.n_items):
            history = (sequences, ends[part], users[part])
            if self.reranker is None:
                logits[part, 1:] = self._prior(self._scored(self.experts.prior, *history))
            else:
                logits[part, 1:] = self.reordered(self.reranker, *self._look(*history))
        return logits

    def reordered(
        self, reranker: Reranker, prior_BV: torch.Tensor, found: Candidates
    ) -> torch.Tensor:
        """The prior with the candidates' probability shared out anew among them, in place."""
        scores, n = reranker(found.features), len(prior_BV)
        own = prior_BV[found.rows, found.codes - 1]
        moved = log_total(own, found.rows, n) - log_total(scores, found.rows, n)
        prior_BV[found.rows, found.codes - 1] = scores + moved[found.rows]
        return prior_BV

    def examples(self, sequences: Sequences, targets: np.ndarray) -> Examples:
        """Candidates of all users with a target (int64 [U], -1 = none) among them."""
        users = np.flatnonzero(targets >= 0)

        def blocks() -> Iterator[tuple[Candidates, torch.Tensor]]:
            for part in parts_of(len(users), self.experts.n_items):
                chosen = users[part]
                ends = targets[chosen]
                items = torch.from_numpy(sequences.items[ends].astype(np.int64))
                yield self._look(sequences, ends, chosen)[1], items

        with torch.no_grad():
            return Examples.of(blocks())

    def _look(
        self, sequences: Sequences, ends: np.ndarray, users: np.ndarray
    ) -> tuple[torch.Tensor, Candidates]:
        """Prior log-probabilities [B, V] and the candidates with their features."""
        return self.opinions(sequences, ends, users)[1:]

    @torch.no_grad()
    def opinions(
        self, sequences: Sequences, ends: np.ndarray, users: np.ndarray
    ) -> tuple[dict[str, torch.Tensor], torch.Tensor, Candidates]:
        """What a block's scores are made of, for as many users as there is room for.

        Returns:
            Each expert's log-probabilities [B, V], the prior's [B, V], and the candidates with
            their features.
        """
        scored = self._scored(self.experts.all, sequences, ends, users)
        prior_BV = self._prior(scored)
        found = find_candidates(prior_BV, scored, self.experts.clock, sequences, ends, users)
        return scored, prior_BV, found

    @property
    def feature_names(self) -> list[str]:
        """What the columns of the candidates' features are."""
        return feature_names(self.experts.all)

    def _prior(self, scored: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """What the prior's experts agree on, log-probabilities [B, V]."""
        blended_BV = torch.zeros_like(next(iter(scored.values())))
        for name, power in self.shares.items():
            blended_BV.add_(scored[name], alpha=power)
        return blended_BV.log_softmax(1)

    @staticmethod
    def _scored(
        experts: Mapping[str, Scorer], sequences: Sequences, ends: np.ndarray, users: np.ndarray
    ) -> dict[str, torch.Tensor]:
        """Each expert's log-probabilities of items 1..V, [B, V]."""
        return {
            name: log_probabilities(expert, sequences, ends, users)
            for name, expert in experts.items()
        }


@dataclass(frozen=True)
class Weights:
    """What is learnt beyond the experts: kept in a model package."""

    powers: dict[str, float]
    features: list[str]  # that the reranker reads, in order
    reranker: dict[str, torch.Tensor]  # its state; empty for none

    def recommender(self, experts: Experts) -> Recommender:
        """These weights over experts, which may have been fitted on newer events.

        Experts that the weights do not know, as of texts that came since, are left out.

        Raises:
            ValueError: an expert that the weights were learnt for is missing.
        """
        experts = Experts(
            {name: expert for name, expert in experts.prior.items() if name in self.powers},
            {name: expert for name, expert in experts.further.items() if name in self.features},
            experts.clock,
        )
        names = feature_names(experts.all)
        if names != self.features:
            raise ValueError(f"learnt for the features {self.features}, but there are {names}")
        reranker = None
        if self.reranker:
            reranker = Reranker(len(names))
            reranker.load_state_dict(self.reranker)
            reranker.eval()
        return Recommender(experts, self.powers, reranker)


def fit_weights(
    experts: Experts, sequences: Sequences, targets: np.ndarray, seed: int, most: int = 20_000
) -> Weights:
    """Learn the experts' powers and the reranker.

    Args:
        experts: fitted without the targets.
        sequences: the events.
        targets: int64 [U], absolute position of each user's target, -1 = none.
        seed: of the draw of users, the folds and the reranker's initial weights.
        most: how many targets are used.
    """
    users = np.flatnonzero(targets >= 0)
    if len(users) > most:
        users = np.random.default_rng(seed).choice(users, most, replace=False)
    drawn = np.full_like(targets, -1)
    drawn[users] = targets[users]
    fitted = fit_powers(list(experts.prior.values()), sequences, drawn, experts.n_items, seed=seed)
    powers = dict(zip(experts.prior, fitted, strict=True))
    recommender = Recommender(experts, powers, None)
    reranker = None
    if len(users):
        reranker = fit_reranker(recommender.examples(sequences, drawn), seed)
    state = {} if reranker is None else reranker.state_dict()
    return Weights(powers, feature_names(experts.all), dict(state))
