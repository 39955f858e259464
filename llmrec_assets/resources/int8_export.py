"""A sentence-transformers folder written as an int8 ONNX model.

Imports torch: what loads with the definitions imports this module in its bodies only. The ranges
that the layers are quantised for come from random words of the model's own vocabulary.
"""

import json
import random
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from llmrec_assets.core.encoding import EncoderUnavailable, load_folder
from llmrec_assets.core.int8_layers import quantise
from llmrec_assets.resources.int8_encoder import CONFIG, MODEL, TOKENIZER, Int8Encoder

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

REMEDY = "set LLMREC_ENCODER to its float32 model"
CALIBRATION = 200  # texts
WORDS = (0, 1, 2, 4, 8, 12, 20, 60)  # in a calibration text
LEAST_COSINE = 0.98  # of the calibration texts' vectors to their float32 vectors, on average


class NotExportable(EncoderUnavailable):
    """The folder holds a model that the int8 export does not know, or does badly."""


def export_int8(folder: Path, target: Path) -> None:
    """Write the model of `folder` into the folder `target`, for `Int8Encoder`.

    The same folder gives the same bytes.

    Raises:
        NotExportable: the model is not BERT with GELU, mean pooling and at most Normalize after
            it, or its int8 vectors are far from the float32 ones.
    """
    model = load_folder(folder)
    _check(model, folder)
    texts = _calibration_texts(model.tokenizer.get_vocab())
    floats = _quantised(model, texts)
    _write_onnx(model, target / MODEL)
    model.tokenizer.backend_tokenizer.save(str(target / TOKENIZER))
    config = {
        "max_seq_length": model.max_seq_length,
        "dimension": floats.shape[1],
        "prompt": model.prompts.get(model.default_prompt_name or "", ""),
    }
    (target / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    vectors = Int8Encoder(lambda: target, len(texts), 1).encode(texts)
    cosine = float((vectors * floats).sum(axis=1).mean())
    if cosine < LEAST_COSINE:
        raise NotExportable(f"int8 vectors of {folder} have cosine {cosine:.3f}: {REMEDY}")


def _check(model: "SentenceTransformer", folder: Path) -> None:
    modules: list[Any] = list(model)
    kinds = "+".join(type(module).__name__ for module in modules)
    bert = getattr(modules[0], "model", None)
    pooling = modules[1] if len(modules) > 1 else None
    found_and_known = {
        "modules": (kinds.removesuffix("+Normalize"), "Transformer+Pooling"),
        "pooling": (getattr(pooling, "pooling_mode", None), "mean"),
        "include_prompt": (getattr(pooling, "include_prompt", True), True),
        "transformer": (type(bert).__name__, "BertModel"),
        "activation": (getattr(getattr(bert, "config", None), "hidden_act", None), "gelu"),
        "do_lower_case": (getattr(modules[0], "do_lower_case", False), False),
    }
    wrong = [
        f"{name} {found} instead of {known}"
        for name, (found, known) in found_and_known.items()
        if found != known
    ]
    if wrong:
        raise NotExportable(f"int8: {folder} has {', '.join(wrong)}: {REMEDY}")


def _calibration_texts(vocabulary: dict[str, int]) -> list[str]:
    words = sorted({word.lstrip("▁") for word in vocabulary})
    words = [word for word in words if word.isalpha()] or ["a"]
    chance = random.Random(0)
    return [" ".join(chance.choices(words, k=chance.choice(WORDS))) for _ in range(CALIBRATION)]


def _quantised(model: "SentenceTransformer", texts: list[str]) -> np.ndarray:
    """Quantise the model by what its layers see of the texts: their float32 vectors."""
    network: Any = model[0].model
    floats: list[np.ndarray] = []

    def run() -> None:
        # One by one: the ranges must not see padding.
        vectors = model.encode(
            texts, batch_size=1, normalize_embeddings=True, show_progress_bar=False
        )
        floats.append(np.asarray(vectors, np.float32))

    quantise(network, run)
    return floats[0]


class _Pooled(nn.Module):
    """Token ids of texts of one length in, unit vectors out: without padding nothing is masked."""

    def __init__(self, bert: nn.Module) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, input_ids: Tensor) -> Tensor:
        """[B, L] to [B, D]."""
        states = self.bert(input_ids=input_ids).last_hidden_state
        return nn.functional.normalize(states.mean(1), dim=1)


def _write_onnx(model: "SentenceTransformer", file: Path) -> None:
    bert: Any = model[0].model
    bert.set_attn_implementation("eager")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about traced shapes, and a newer exporter
        torch.onnx.export(
            _Pooled(bert.eval()),
            (torch.ones(2, 4, dtype=torch.int64),),
            str(file),
            input_names=["input_ids"],
            output_names=["vectors"],
            dynamic_axes={"input_ids": {0: "texts", 1: "tokens"}, "vectors": {0: "texts"}},
            opset_version=17,
            custom_opsets={"com.microsoft": 1},
            dynamo=False,
        )
