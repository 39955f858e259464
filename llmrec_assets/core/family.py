"""The rankings that need no training loop, by name."""

from collections.abc import Sequence

import numpy as np

from llmrec_assets.core.baselines import DecayedMarkov, Popularity
from llmrec_assets.core.config import Baseline
from llmrec_assets.core.counting import counted_ends
from llmrec_assets.core.ease import Ease
from llmrec_assets.core.naive_bayes import NaiveBayes
from llmrec_assets.core.neighbours import ItemNeighbours
from llmrec_assets.core.own_history import OwnHistory
from llmrec_assets.core.ranking import Scorer
from llmrec_assets.core.recent_popularity import RecentPopularity
from llmrec_assets.core.sequences import Sequences

BASELINES: dict[Baseline, type] = {
    "popularity": Popularity,
    "recent_popularity": RecentPopularity,
    "own_history": OwnHistory,
    "decayed_markov": DecayedMarkov,
    "item_neighbours": ItemNeighbours,
    "naive_bayes": NaiveBayes,
    "ease": Ease,
}


def fit_baselines(
    names: Sequence[Baseline], sequences: Sequences, n_items: int, train_end: np.ndarray
) -> dict[str, Scorer]:
    """Each of the named baselines, fitted on the events of each user before `train_end`.

    All but popularity count those of a share of the users where there are too many
    (`counted_ends`).

    Raises:
        KeyError: an unknown name.
        ValueError: EASE with too many items.
    """
    counted = counted_ends(sequences, train_end, n_items)
    return {
        name: BASELINES[name](sequences, n_items, train_end if name == "popularity" else counted)
        for name in names
    }
