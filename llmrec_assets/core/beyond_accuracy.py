"""What lists are like whatever comes next: how varied, how new to the world, how popular.

NumPy only. Lists are int64 [n, k] of item codes, best first, 0 = none. A measure of one list is a
mean over the items it has; lists without any are left out of means over lists.
"""

import numpy as np

from llmrec_assets.core.sequences import Catalogue

_ROWS = 4096  # embeddings held at a time


def exposure(shown: np.ndarray, n_items: int) -> np.ndarray:
    """How often each item stands in the lists: int64 [V]."""
    return np.bincount(shown.ravel(), minlength=n_items + 1)[1:]


def coverage(exposure: np.ndarray) -> float:
    """Share of the catalogue that is shown at least once."""
    return float((exposure > 0).mean()) if len(exposure) else 0.0


def gini(exposure: np.ndarray) -> float:
    """Inequality of exposure: 0 = all items alike, towards 1 = one item takes everything."""
    total, n = exposure.sum(), len(exposure)
    if n == 0 or total == 0:
        return 0.0
    rank = np.arange(1, n + 1)
    return float(2 * (rank * np.sort(exposure)).sum() / (n * total) - (n + 1) / n)


def novelty(shown: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Mean self-information of each list's items, in bits, [n]; NaN for an empty list.

    -log2 of an item's share of the training events (Zhou et al. 2010; Vargas & Castells 2011),
    with half an event added to each item, so that one never trained on has a finite surprise.

    Args:
        shown: the lists.
        counts: int64 [V+1], training events of each item.
    """
    smoothed = counts[1:] + 0.5
    surprise = -np.log2(smoothed / smoothed.sum())
    return _list_mean(np.concatenate([[0.0], surprise]), shown)


def popularity(shown: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Mean training events of each list's items, [n] (average recommendation popularity)."""
    return _list_mean(counts.astype(np.float64), shown)


def popularity_lift(shown: np.ndarray, histories: np.ndarray, counts: np.ndarray) -> float | None:
    """How much more popular lists are than the histories they are for (Abdollahpouri et al. 2019).

    Args:
        shown: the lists.
        histories: float64 [n], mean training events of the items of each user's history.
        counts: int64 [V+1], training events of each item.

    Returns:
        Mean popularity of the lists over that of the histories, less one: 0 = as popular as what
        the users chose themselves, 1 = twice as popular; None where nothing was trained on.
    """
    listed = popularity(shown, counts)
    taken = ~np.isnan(listed)
    own = histories[taken].sum()
    return float(listed[taken].sum() / own - 1) if own > 0 else None


def diversity(shown: np.ndarray, catalogue: Catalogue) -> np.ndarray:
    """Mean of 1 - cosine of the text embeddings over the pairs of items of each list, [n].

    Known as intra-list diversity or distance (Ziegler et al. 2005). NaN for a list with less than
    two items with texts. The vectors are as the encoder gave them, so only lists of one encoder
    compare.
    """
    blocks = [np.zeros(0)]
    for start in range(0, len(shown), size := max(1, _ROWS // max(shown.shape[1], 1))):
        rows = catalogue.text_rows[shown[start : start + size]]
        vectors_BkD = catalogue.embeddings[np.maximum(rows, 0)]
        length = np.sqrt(np.einsum("bkd,bkd->bk", vectors_BkD, vectors_BkD, dtype=np.float64))
        known = (rows >= 0) & (length > 0)
        weights = np.where(known, 1 / np.where(known, length, 1), 0)
        # The cosines of all pairs are in the squared length of the sum, beside one for each item.
        sums_BD = np.einsum("bk,bkd->bd", weights, vectors_BkD)
        n = known.sum(1)
        cosines = (sums_BD**2).sum(1) - n
        pairs = n * (n - 1)
        blocks.append(np.where(pairs > 0, 1 - cosines / np.maximum(pairs, 1), np.nan))
    return np.concatenate(blocks)


def list_measures(
    shown: np.ndarray, histories: np.ndarray, counts: np.ndarray, catalogue: Catalogue
) -> dict[str, float]:
    """Every measure of the lists by name; what cannot be measured is absent.

    Args:
        shown: int64 [n, k].
        histories: as of `popularity_lift`.
        counts: int64 [V+1], training events of each item.
        catalogue: the items; without embeddings there is no diversity.
    """
    k, exposed = shown.shape[1], exposure(shown, catalogue.n_items)
    measures = {
        "coverage": coverage(exposed),
        "gini": gini(exposed),
        "novelty": _mean(novelty(shown, counts)),
        "popularity": _mean(popularity(shown, counts)),
        "popularity_lift": popularity_lift(shown, histories, counts),
        "diversity": _mean(diversity(shown, catalogue)) if len(catalogue.embeddings) else None,
    }
    return {f"{name}_at_{k}": value for name, value in measures.items() if value is not None}


def _list_mean(values: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Mean of `values` [V+1] over the items of each list, [n]; NaN for an empty list."""
    there = shown > 0
    total, n = np.where(there, values[shown], 0.0).sum(1), there.sum(1)
    return np.where(n > 0, total / np.maximum(n, 1), np.nan)


def _mean(of_lists: np.ndarray) -> float | None:
    known = of_lists[~np.isnan(of_lists)]
    return float(known.mean()) if len(known) else None
