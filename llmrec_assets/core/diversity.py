"""Between model and list: the likeliest items put in an order that does not wall a user in.

The list grows slot by slot. Each goes to the candidate, of those that the rules leave, with the
most of

    (1 - calibration) ((1 - diversity) (relevance + freshness · age) - diversity · likeness)
    - calibration · divergence

where relevance is the log-probability less the likeliest candidate's, in units of `NATS`; age is
`ItemTraits.freshness`; likeness the largest cosine to an item of the list so far (maximal marginal
relevance, Carbonell & Goldstein, SIGIR 1998), opposites counting as unlike; and divergence that of
the list's categories from the history's (Steck, RecSys 2018). NumPy only.
"""

import numpy as np

from llmrec_assets.core.calibration import Calibration
from llmrec_assets.core.item_traits import ItemTraits
from llmrec_assets.core.list_rules import Rules
from llmrec_assets.core.reranking import Reranking

# At half diversity, an item unlike the list so far goes before its equal that is e^NATS times as
# likely. A fixed unit: one scaled by a user's candidates would hang on filters and their number.
NATS = 4.0


def rerank(
    codes: np.ndarray,
    log_probabilities: np.ndarray,
    traits: ItemTraits,
    history: np.ndarray,
    settings: Reranking,
    k: int,
) -> np.ndarray:
    """One user's list from its candidates.

    Args:
        codes: int64 [n], different ones. An item that `settings` wants always must be among them.
        log_probabilities: float [n]; -inf is no candidate.
        traits: of all items. One without a text is unlike every other; one without a category has
            no limit and helps no calibration.
        history: int64 [h], item codes of the user's events; without categories among them there
            is nothing to calibrate to.
        settings: what the list is varied by. What it cannot have all: see `Rules`.
        k: slots.

    Returns:
        int64 [at most k], places among the candidates, best first, none twice. Where two are
        equally good the likelier one is listed, where equally likely the lower code.
    """
    return Pool(codes, log_probabilities, traits, history).listed(settings, k)


class Pool:
    """One user's candidates, to be listed by one or several settings."""

    def __init__(
        self,
        codes: np.ndarray,
        log_probabilities: np.ndarray,
        traits: ItemTraits,
        history: np.ndarray,
    ) -> None:
        """Arguments as of `rerank`."""
        order = np.lexsort((codes, -log_probabilities))
        # What is kept has the likeliest first, so that `argmax` settles ties.
        self.order = order[log_probabilities[order] > -np.inf]
        self.codes, self.traits = codes[self.order], traits
        scores = log_probabilities[self.order].astype(np.float64)
        self.relevance = (scores - scores.max(initial=-np.inf)) / NATS if len(scores) else scores
        self.categories = traits.categories[self.codes]
        self.history = traits.categories[history]
        self._vectors: np.ndarray | None = None
        self._likeness: dict[int, np.ndarray] = {}

    def listed(self, settings: Reranking, k: int) -> np.ndarray:
        """As `rerank`."""
        if settings.changes_nothing:
            return self.order[:k]
        rules = None
        if settings.has_rules:
            rules = Rules(
                self.codes,
                self.categories,
                self.traits.tail[self.codes],
                never=settings.never,
                always=settings.always,
                max_per_category=settings.max_per_category,
                long_tail=settings.long_tail,
                k=k,
            )
        return self.order[self._grown(settings, rules, k)]

    def _grown(self, settings: Reranking, rules: Rules | None, k: int) -> list[int]:
        """Places in falling order of likelihood, as the list takes them."""
        worth = (1 - settings.diversity) * self._worth(settings.freshness)
        calibration = None
        if settings.calibration:
            calibration = Calibration(self.categories, self.history)
        nearest = np.zeros(len(worth), dtype=np.float32)
        chosen: list[int] = []
        while len(chosen) < min(k, len(worth)):
            gain = worth - settings.diversity * nearest
            if calibration is not None and calibration.possible:
                gain *= 1 - settings.calibration
                gain += settings.calibration * calibration.relief()
            gain[chosen] = -np.inf
            if rules is not None:
                gain[rules.closed()] = -np.inf
            place = int(gain.argmax())
            if gain[place] == -np.inf:
                break
            chosen.append(place)
            if rules is not None:
                rules.add(place)
            if calibration is not None:
                calibration.add(place)
            if settings.diversity:
                np.maximum(nearest, self._like(place), out=nearest)
        return chosen

    def _worth(self, freshness: float) -> np.ndarray:
        """Of each candidate alone, float64 [n]."""
        if not freshness:
            return self.relevance
        return self.relevance + freshness * self.traits.freshness[self.codes]

    def _like(self, place: int) -> np.ndarray:
        """Cosine of a candidate to all: [n]; kept, because several lists ask for the same ones."""
        if self._vectors is None:
            self._vectors = self.traits.vectors[self.codes]
        if place not in self._likeness:
            self._likeness[place] = self._vectors @ self._vectors[place]
        return self._likeness[place]
