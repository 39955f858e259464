"""Why one user is recommended one item: past events, parts of the model, and similar past items."""

from dataclasses import dataclass

import numpy as np

from llmrec_assets.core.contributions import contributions, grouped
from llmrec_assets.core.occlusion import MOST, occlusion
from llmrec_assets.core.ranking import Scorer
from llmrec_assets.core.recommender import Recommender
from llmrec_assets.core.sequences import Sequences

TOLD = 0.01  # nats: what moves a probability by less than a hundredth drives nothing


@dataclass(frozen=True)
class Driver:
    """A past event and what it does for the item."""

    position: int  # in the sequences
    item: int  # code
    behavior: int  # code
    time: int
    effect: float  # nats; above 0 where the event speaks for the item


@dataclass(frozen=True)
class Explanation:
    """What is known of one recommendation."""

    drivers: list[Driver]  # every event that was asked about, what speaks most for it first
    shares: dict[str, float]  # of each expert and of the reranker, nats; empty for a baseline
    nearest: list[tuple[int, float]]  # (code of a past item, cosine), most similar first

    @property
    def parts(self) -> dict[str, float]:
        """Shares of texts, behaviour, time and reranking; empty for a baseline."""
        return grouped(self.shares) if self.shares else {}

    @property
    def told(self) -> list[Driver]:
        """The drivers that a sentence may name, each item once."""
        strongest: dict[int, Driver] = {}
        for driver in self.drivers:
            if driver.effect > TOLD:
                strongest.setdefault(driver.item, driver)
        return list(strongest.values())


def explain(
    scorer: Scorer,
    sequences: Sequences,
    user: int,
    code: int,
    vectors: np.ndarray,
    end: int | None = None,
    most: int = MOST,
    n_nearest: int = 3,
) -> Explanation:
    """Explain one item to one user.

    Args:
        scorer: what ranks; the shares are of a `Recommender` only.
        sequences: the events.
        user: whose history.
        code: the item.
        vectors: float32 [V+1, D], unit; a zero row has no text.
        end: position after the history's last event; that of the newest where not given.
        most: newest events that are asked about.
        n_nearest: most past items that are named as similar.
    """
    start = int(sequences.offsets[user])
    end = int(sequences.offsets[user + 1]) if end is None else end
    found = occlusion(scorer, sequences, (start, end), np.array([code]), most)
    order = np.argsort(-found.effects[:, 0], kind="stable")
    shares = {}
    if isinstance(scorer, Recommender):
        shares = contributions(scorer, sequences, end, user, code)
    return Explanation(
        [_driver(sequences, int(found.positions[i]), found.effects[i, 0]) for i in order],
        shares,
        nearest_past(vectors, sequences.items[start:end], code, n_nearest),
    )


def nearest_past(
    vectors: np.ndarray, items: np.ndarray, code: int, n: int
) -> list[tuple[int, float]]:
    """The past items (codes [h]) most like an item: (code, cosine), each once, the item itself not.

    Those that share nothing with it, or have no text, are left out; where equal, the lower code is
    first.
    """
    past = np.setdiff1d(items, [code])
    cosines = vectors[past] @ vectors[code]
    order = np.lexsort((past, -cosines))[:n]
    return [(int(past[i]), float(cosines[i])) for i in order if cosines[i] > 0]


def _driver(sequences: Sequences, position: int, effect: float) -> Driver:
    return Driver(
        position,
        int(sequences.items[position]),
        int(sequences.behaviors[position]),
        int(sequences.times[position]),
        float(effect),
    )
