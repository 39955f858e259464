"""The encoder that runs an int8 ONNX model.

A batch holds texts of one length, so that nothing is padded or masked and a text's vector does
not depend on the texts it is encoded with.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from tokenizers import Tokenizer

VERSION = 1  # of the export: another one gives other vectors
MODEL, TOKENIZER, CONFIG = "model.onnx", "tokenizer.json", "config.json"
TOKENS = 512  # most tokens of a batch: what it computes stays in a core's cache


class Loaded(NamedTuple):
    """What a folder that `export_int8` wrote holds."""

    tokenizer: "Tokenizer"
    session: "InferenceSession"
    dimension: int
    prompt: str


class Int8Encoder:
    """The model in the folder that `find` gives, which is asked with the first text.

    Other texts in the call, their order and `batch_size` change a vector by less than 1e-6.
    """

    def __init__(self, find: Callable[[], Path], batch_size: int, threads: int) -> None:
        self.find, self.batch_size, self.threads = find, batch_size, threads
        self.loaded: Loaded | None = None

    def encode(self, texts: list[str]) -> np.ndarray:
        """float32 [n, D], rows of unit length in the order of the texts."""
        self.loaded = self.loaded or load(self.find(), self.threads)
        tokenizer, session, dimension, prompt = self.loaded
        vectors = np.zeros((len(texts), dimension), np.float32)
        # One by one: the tokenizer's own batches would take every core.
        tokens = [tokenizer.encode(prompt + text).ids for text in texts]
        lengths = np.array([len(ids) for ids in tokens], np.int64)
        for length in np.unique(lengths[lengths > 0]):
            rows = np.flatnonzero(lengths == length)
            size = min(self.batch_size, max(1, TOKENS // int(length)))
            for first in range(0, len(rows), size):
                batch = rows[first : first + size]
                ids = np.array([tokens[row] for row in batch], np.int64)
                vectors[batch] = np.asarray(session.run(None, {"input_ids": ids})[0])
        return vectors


def load(folder: Path, threads: int) -> Loaded:
    """The tokenizer and the model of an export."""
    import onnxruntime
    from tokenizers import Tokenizer

    config: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    tokenizer.no_padding()
    tokenizer.enable_truncation(config["max_seq_length"])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(
        str(folder / MODEL),
        options,
        providers=["CPUExecutionProvider"],
        # The fused kernel takes six times as long as Add and LayerNormalization.
        disabled_optimizers=["SkipLayerNormFusion"],
    )
    return Loaded(tokenizer, session, config["dimension"], config["prompt"])
