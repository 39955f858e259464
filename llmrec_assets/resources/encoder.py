"""Which text encoder a data root uses, and the name under which its vectors are kept."""

import hashlib
import json
import os
import re
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field, field_validator, model_validator

from llmrec_assets.core import encoding
from llmrec_assets.core.encoding import Encoder, EncoderUnavailable
from llmrec_assets.resources import int8_encoder
from llmrec_assets.resources.e5_folder import VERSION as E5_VERSION
from llmrec_assets.resources.embedding_endpoint import KEY, URL, EmbeddingEndpoint
from llmrec_assets.resources.encoder_files import (
    BAG_OF_WORDS,
    ENDPOINT,
    PACKAGED,
    files_of,
    float_model,
    weights_hash,
)
from llmrec_assets.resources.whole_folder import make_folder_once

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

DIMENSIONS = {
    "multilingual": 512,
    "minilm": 384,
    "minilm-int8": 384,
    "e5": 384,
    "e5-int8": 384,
    BAG_OF_WORDS: encoding.HASHED_WORDS,
}
TRAINING = ("accelerate", "datasets", "peft")  # packages of the extra lora


class TextEncoder(dg.ConfigurableResource):
    """A local encoder. Nothing is loaded until there is a text to encode."""

    model: str = Field(
        default="multilingual",
        description="multilingual (Chinese, English and 14 more), minilm (English), e5 (94"
        " languages), minilm-int8 and e5-int8 (faster, nearly the same vectors), bag_of_words, the"
        " path of a sentence-transformers folder, int8:FOLDER, or endpoint:MODEL.",
    )
    made: str = Field(
        default="", description="Folder for models that are made from others: e5 and int8."
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
        base = _float_name(self._float)
        if self._is_int8:
            return f"{base}-int8.{int8_encoder.VERSION}"
        return base

    def encoder(self) -> Encoder:
        """What encodes; the model itself is made and loaded with its first text."""
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
        if self._is_int8:
            return int8_encoder.Int8Encoder(self._int8_folder, self.batch_size, self.threads)
        return self._sentences(self.folder)

    def tuned(self, folder: Path) -> Encoder:
        """What encodes with the sentence-transformers model in a folder."""
        return self._sentences(lambda: folder)

    def maker(self, folder: Path | None = None) -> Callable[[], Encoder]:
        """What makes `encoder()`, or `tuned(folder)`, in this or in another process."""
        return partial(_made_encoder, self.model_dump(), folder)

    def _sentences(self, folder: Callable[[], Path]) -> Encoder:
        return encoding.SentenceEncoder(
            lambda: encoding.load_folder(folder()), self.batch_size, self.threads
        )

    def folder(self) -> Path:
        """The sentence-transformers folder of the float32 model, such as fine-tuning starts from.

        e5 is made in its place first, an int8 model has the folder that it is made from.

        Raises:
            EncoderUnavailable: this encoder is no such model.
        """
        if self._float == "e5":
            from llmrec_assets.resources.e5_folder import write_e5_folder

            packed = files_of("e5")[0]
            return self._make(_float_name("e5"), lambda folder: write_e5_folder(packed, folder))
        if self.model in ("multilingual", BAG_OF_WORDS) or self.model.startswith(ENDPOINT):
            raise EncoderUnavailable(
                f"the encoder {self.model!r} is no sentence-transformers folder: set LLMREC_ENCODER"
                " to minilm, e5 or the path of such a folder"
            )
        return files_of(self._float)[0].parent if self._float in PACKAGED else Path(self._float)

    def trainable(self, tuning: str) -> "Callable[[], SentenceTransformer]":
        """What loads the transformer that `tuning`, lora or full, trains.

        Raises:
            EncoderUnavailable: it is no transformer, or what trains it is not installed.
        """
        if not self._is_transformer:
            raise EncoderUnavailable(
                f"LLMREC_TUNE_ENCODER={tuning} trains the weights of a transformer, and the encoder"
                f" {self.model!r} has none that can be trained: head works with every encoder"
            )
        if missing := [name for name in TRAINING if find_spec(name) is None]:
            raise EncoderUnavailable(
                f"LLMREC_TUNE_ENCODER={tuning} needs {' and '.join(missing)}:"
                " pip install 'llmrec-assets[lora]'"
            )
        return lambda: encoding.load_folder(self.folder())

    def _int8_folder(self) -> Path:
        from llmrec_assets.resources.int8_export import export_int8

        return self._make(self.name(), lambda target: export_int8(self.folder(), target))

    def _make(self, name: str, write: Callable[[Path], None]) -> Path:
        if not self.made:
            raise EncoderUnavailable(f"the encoder {self.model!r} needs a folder: set `made`")
        return make_folder_once(Path(self.made) / name, write)

    def dimension(self) -> int:
        """D; the model is loaded only where it is a folder, and asked where it is an endpoint."""
        if self.model in DIMENSIONS:
            return DIMENSIONS[self.model]
        encoder = self.encoder()
        if isinstance(encoder, EmbeddingEndpoint):
            return encoder.dimension()
        return encoder.encode([""]).shape[1]

    @property
    def _is_transformer(self) -> bool:
        if self.model in ("multilingual", BAG_OF_WORDS) or self.model.startswith(ENDPOINT):
            return False
        return self._float == "e5" or _reads_tokens(self.folder())  # e5 is made when it is needed

    @property
    def _served(self) -> str:
        """The endpoint's name of the model."""
        return self.model.removeprefix(ENDPOINT)

    @property
    def _is_int8(self) -> bool:
        return float_model(self.model) is not None

    @property
    def _float(self) -> str:
        """The float32 model: itself, or what the int8 one is made from."""
        return float_model(self.model) or self.model

    @model_validator(mode="after")
    def _endpoint_has_an_address(self) -> "TextEncoder":
        if self.model.startswith(ENDPOINT) and not self.url.startswith(("http://", "https://")):
            raise ValueError(f"LLMREC_ENCODER={self.model!r} needs {URL}, like https://host/v1")
        return self

    @field_validator("model")
    @classmethod
    def _is_available(cls, model: str) -> str:
        try:
            files_of(model)
        except EncoderUnavailable as error:
            raise ValueError(str(error)) from error
        return model


def _made_encoder(settings: dict[str, Any], folder: Path | None) -> Encoder:
    encoder = TextEncoder(**settings)
    return encoder.tuned(folder) if folder else encoder.encoder()


def _float_name(model: str) -> str:
    """Of a float32 model; its kind, its weights, and for e5 the version of what is made of them."""
    kind = model if model in PACKAGED else Path(model).resolve().name
    version = f".{E5_VERSION}" if model == "e5" else ""
    return f"{kind}-{weights_hash(model)[:12]}{version}"


def _reads_tokens(folder: Path) -> bool:
    """Whether the first module of a sentence-transformers folder is a transformer."""
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    return bool(modules) and str(modules[0]["type"]).rpartition(".")[2] == "Transformer"
