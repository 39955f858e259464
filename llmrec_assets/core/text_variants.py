"""What a model may be told of the items: their texts, parts of them, nothing, or a placebo.

NumPy only: this module loads with the definitions. A variant changes sequences and catalogue before
anything is fitted, so that all of them are trained and served by the same code.
"""

from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np

from llmrec_assets.core.config import ModelConfig
from llmrec_assets.core.sequences import Catalogue, Sequences

Fusion = Literal["concat", "mean", "weighted", "gate"]
Encoder = Literal["in use", "frozen", "tuned"]


@dataclass(frozen=True)
class Variant:
    """One answer to the question what a model is told."""

    says: str
    ids: bool = True  # without: no network and no counting, the texts rank alone
    vectors: Literal["own", "none", "shuffled", "random"] = "own"
    words: Literal["own", "none", "shuffled"] = "own"
    fusion: Fusion | None = None  # None: as configured
    encoder: Encoder = "in use"

    @property
    def placebo(self) -> bool:
        """Whether what it tells of an item is of no use."""
        return self.vectors in ("shuffled", "random")


BASELINE, DEFAULT = "ids_only", "default"
VARIANTS = {
    BASELINE: Variant("no text anywhere", vectors="none", words="none"),
    "words_only": Variant("words (TF-IDF), no language model", vectors="none"),
    "vectors_only": Variant("vectors of the language model, no words", words="none"),
    DEFAULT: Variant("vectors and words, as shipped"),
    "texts_alone": Variant("vectors and words rank alone: no network, no counts", ids=False),
    "shuffled_texts": Variant("placebo: texts dealt anew", vectors="shuffled", words="shuffled"),
    "random_vectors": Variant("placebo: a random vector an item", vectors="random", words="none"),
    "fusion_concat": Variant("default, fused by concat", fusion="concat"),
    "fusion_mean": Variant("default, fused by mean", fusion="mean"),
    "fusion_weighted": Variant("default, fused by weighted", fusion="weighted"),
    "fusion_gate": Variant("default, fused by gate", fusion="gate"),
    "frozen_encoder": Variant("default, the encoder's own vectors", encoder="frozen"),
    "tuned_encoder": Variant("default, vectors tuned by behaviour", encoder="tuned"),
}  # fmt: skip


def setting_of(variant: Variant, config: ModelConfig, encoders: dict[Encoder, str]) -> str:
    """Everything that a fit of the variant depends on beside data, seed and code, as one text."""
    told = asdict(variant) | {"fusion": variant.fusion or config.fusion, "says": ""}
    told["encoder"] = encoders[variant.encoder] if variant.vectors in ("own", "shuffled") else ""
    settings = config.model_dump(exclude={"seed"}) | {"fusion": told["fusion"]}
    return f"{told} {settings}"


def told(
    variant: Variant, sequences: Sequences, catalogue: Catalogue, seed: int
) -> tuple[Sequences, Catalogue]:
    """The events and the items as the variant shows them; `seed` is of the placebos.

    Shuffled: items that have a text swap texts, words and vectors together, and a step reads what
    its behaviour with the item that gave its text would read. Random: every item that has a text
    has a direction of its own, which its steps read too.
    """
    rng = np.random.default_rng(seed)
    giver = np.arange(catalogue.n_items + 1)
    if variant.placebo:
        holders = np.flatnonzero(catalogue.text_rows >= 0)
        giver[holders] = rng.permutation(holders)
    match variant.vectors:
        case "none":
            sequences, catalogue = _without_vectors(sequences, catalogue)
        case "shuffled":
            sequences, catalogue = _shuffled_vectors(sequences, catalogue, giver)
        case "random":
            sequences, catalogue = _random_vectors(sequences, catalogue, rng)
    match variant.words:
        case "none":
            nothing = np.zeros(0, dtype=np.int64)
            catalogue = replace(catalogue, word_offsets=nothing, words=nothing)
        case "shuffled":
            catalogue = _shuffled_words(catalogue, giver)
    return sequences, catalogue


def _without_vectors(sequences: Sequences, catalogue: Catalogue) -> tuple[Sequences, Catalogue]:
    return (
        replace(sequences, text_rows=np.full_like(sequences.text_rows, -1)),
        replace(
            catalogue,
            text_rows=np.full_like(catalogue.text_rows, -1),
            embeddings=catalogue.embeddings[:0],
        ),
    )


def _shuffled_vectors(
    sequences: Sequences, catalogue: Catalogue, giver: np.ndarray
) -> tuple[Sequences, Catalogue]:
    """Item c has the vector of item `giver[c]`, and so have its steps."""
    rows = catalogue.text_rows[giver]
    width = len(giver)
    pairs = sequences.behaviors.astype(np.int64) * width + sequences.items
    known, first = np.unique(pairs, return_index=True)
    wanted = sequences.behaviors.astype(np.int64) * width + giver[sequences.items]
    place = np.minimum(np.searchsorted(known, wanted), max(len(known) - 1, 0))
    found = known[place] == wanted if len(known) else np.zeros(0, bool)
    steps = rows[sequences.items]  # of a pair that never occurred, the item's own text
    steps[found] = sequences.text_rows[first[place[found]]]
    return replace(sequences, text_rows=steps), replace(catalogue, text_rows=rows)


def _random_vectors(
    sequences: Sequences, catalogue: Catalogue, rng: np.random.Generator
) -> tuple[Sequences, Catalogue]:
    holders = np.flatnonzero(catalogue.text_rows >= 0)
    vectors = rng.normal(size=(len(holders), catalogue.embeddings.shape[1])).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = np.full_like(catalogue.text_rows, -1)
    rows[holders] = np.arange(len(holders))
    return (
        replace(sequences, text_rows=rows[sequences.items]),
        replace(catalogue, text_rows=rows, embeddings=vectors),
    )


def _shuffled_words(catalogue: Catalogue, giver: np.ndarray) -> Catalogue:
    """Item c has the words of item `giver[c]`."""
    if not len(catalogue.words):
        return catalogue
    starts, lengths = catalogue.word_offsets[:-1], np.diff(catalogue.word_offsets)[giver]
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(catalogue.word_offsets.dtype)
    places = np.arange(offsets[-1]) + np.repeat(starts[giver] - offsets[:-1], lengths)
    return replace(catalogue, word_offsets=offsets, words=catalogue.words[places])
