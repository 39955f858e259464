"""Items whose texts say the same: by meaning (embeddings) and by words (TF-IDF)."""

import numpy as np
import scipy.sparse as sp
import torch

from llmrec_assets.core.baselines import without_padding
from llmrec_assets.core.encoding import HASHED_VOCABULARY
from llmrec_assets.core.sequences import (
    Catalogue,
    Sequences,
    flat_rows,
    newest_told,
    recent,
    told_rows,
)

FLOOR = 1e-2  # similarity of texts that share nothing, so that its logarithm exists
COMPONENTS = 192  # of an embedding that are compared; the rest tells little and takes time


class WordSimilarity:
    """Cosine of TF-IDF vectors of an item's words and pairs of words to those of the history.

    Rare words (a brand, a series) weigh most. How rare a word is, is counted over the items of the
    training period.
    """

    def __init__(
        self, catalogue: Catalogue, trained: np.ndarray, recent: int = 10, decay: float = 0.6
    ) -> None:
        """`trained` (bool [V+1]): the items that occurred in training."""
        self.n_items, self.recent, self.decay = catalogue.n_items, recent, decay
        shape = (catalogue.n_items + 1, HASHED_VOCABULARY)
        ones = np.ones(len(catalogue.words), dtype=np.float32)
        words = sp.csr_array((ones, catalogue.words, catalogue.word_offsets), shape=shape)
        frequency = words.T @ trained.astype(np.float32)
        rarity = np.log((1 + trained.sum()) / (1 + frequency)).astype(np.float32)
        weighted = words @ sp.diags_array(rarity)
        length = np.sqrt(np.asarray((weighted * weighted).sum(1)).ravel())
        unit = sp.diags_array(1 / np.where(length > 0, length, 1))
        self.words = sp.csr_array(unit @ weighted, dtype=np.float32)
        self.items = sp.csr_array(self.words.T)

    def logits(self, sequences: Sequences, ends: np.ndarray, users: np.ndarray) -> torch.Tensor:
        """[B, V+1] logarithms of similarity to the history."""
        asked = recent(sequences, ends, users, self.recent, self.decay)
        starts, stops = self.words.indptr[asked.items], self.words.indptr[asked.items + 1]
        positions, owners = flat_rows(starts.astype(np.int64), stops.astype(np.int64))
        # Few of all words are used, so a dense product is the faster one.
        used, places = np.unique(self.words.indices[positions], return_inverse=True)
        shares = asked.weights[owners] * self.words.data[positions]
        cells = asked.rows[owners] * len(used) + places
        asked_BW = np.bincount(cells, shares, len(users) * len(used)).reshape(len(users), -1)
        cosine_VB = self.items[used].T @ asked_BW.astype(np.float32).T
        cosine_BV = torch.from_numpy(cosine_VB).T.contiguous()  # far faster than any other copy
        return without_padding(cosine_BV.add_(FLOOR).log_())


class TextSimilarity:
    """Cosine of an item's text embedding to the history's, both without the common direction.

    Only the `COMPONENTS` principal components of the training period's items are compared.
    """

    def __init__(
        self, catalogue: Catalogue, trained: np.ndarray, recent: int = 10, decay: float = 0.6
    ) -> None:
        """`trained` (bool [V+1]): the items that occurred in training."""
        self.recent, self.decay = recent, decay
        vectors = item_directions(catalogue, trained)
        self.basis = principal_components(vectors[trained])
        self.vectors = torch.from_numpy(_unit(vectors @ self.basis))

    def logits(self, sequences: Sequences, ends: np.ndarray, users: np.ndarray) -> torch.Tensor:
        """[B, V+1] logarithms of similarity to the history; opposites count as sharing nothing."""
        asked = recent(sequences, ends, users, self.recent, self.decay)
        history = torch.from_numpy(asked.mixed(self.vectors.numpy()))
        cosine = history @ self.vectors.T
        return without_padding(cosine.clamp_min_(0).add_(FLOOR).log_())


class HistorySimilarity:
    """Cosine of an item's text embedding to that of the text that tells the whole history.

    Histories are compared without their common direction, which is that of the newest told history
    of each user in the training period, and items without theirs. A history that was not told, as
    of a user without events, finds all items alike.
    """

    def __init__(
        self,
        sequences: Sequences,
        embeddings: np.ndarray,
        train_end: np.ndarray,
        items: TextSimilarity,
    ) -> None:
        """`embeddings` [T, D] as in the catalogue; `items` has been fitted before `train_end`."""
        self.embeddings, self.vectors, self.basis = embeddings, items.vectors, items.basis
        rows = newest_told(sequences, train_end)
        self.mean = np.zeros(embeddings.shape[1], dtype=np.float32)
        if len(rows):
            self.mean += np.asarray(embeddings[rows], dtype=np.float32).mean(0)

    def logits(self, sequences: Sequences, ends: np.ndarray, users: np.ndarray) -> torch.Tensor:
        """[B, V+1] logarithms of similarity to the history; opposites count as sharing nothing."""
        rows = told_rows(sequences, ends, users)
        history = np.zeros((len(rows), len(self.mean)), dtype=np.float32)
        history[rows >= 0] = self.embeddings[rows[rows >= 0]] - self.mean
        cosine = torch.from_numpy(_unit(history @ self.basis)) @ self.vectors.T
        return without_padding(cosine.clamp_min_(0).add_(FLOOR).log_())


def item_directions(catalogue: Catalogue, trained: np.ndarray) -> np.ndarray:
    """Unit text embeddings without the direction that items have in common, float32 [V+1, D].

    The common one is the mean of the items that occurred in training (`trained`, bool [V+1]). An
    item without a text has a zero row.
    """
    rows = catalogue.text_rows
    vectors = np.zeros((len(rows), catalogue.embeddings.shape[1]), dtype=np.float32)
    vectors[rows >= 0] = catalogue.embeddings[rows[rows >= 0]]
    known = trained & (rows >= 0)
    if known.any():
        vectors[rows >= 0] -= vectors[known].mean(0)
    return _unit(vectors)


def principal_components(vectors: np.ndarray) -> np.ndarray:
    """The directions in which centred vectors [n, D] differ most, strongest first.

    Returns:
        float32 [D, min(D, COMPONENTS)]; all D, as they are, where fewer than D vectors tell.
    """
    n, width = vectors.shape
    if width <= COMPONENTS or n < width:
        return np.eye(width, dtype=np.float32)
    _, directions = np.linalg.eigh((vectors.T @ vectors).astype(np.float64))
    return np.ascontiguousarray(directions[:, : -COMPONENTS - 1 : -1], dtype=np.float32)


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Each row with length one; a zero row stays zero."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)
