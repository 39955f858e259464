"""What an answer of the OpenAI embeddings protocol must hold to be believed."""

import json
from typing import Any

import numpy as np

NOT_THE_API = "check that LLMREC_ENCODER_URL is the address of the API (it usually ends in /v1)"
BAD_MODEL = "its server or model is broken: try it with one text, or take another"


def parsed(body: bytes) -> dict[str, Any]:
    """The JSON object of an answer.

    Raises:
        ValueError: it is something else.
    """
    try:
        answer = json.loads(body.decode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not JSON: {NOT_THE_API}") from error
    if not isinstance(answer, dict):
        raise ValueError(f"is JSON but no object: {NOT_THE_API}")
    return answer


def vectors_of(answer: dict[str, Any], n: int) -> np.ndarray:
    """float64 [n, D] in the order of the texts.

    Raises:
        ValueError: the answer is not one good vector a text.
    """
    data = answer.get("data")
    if not isinstance(data, list) or not all(isinstance(entry, dict) for entry in data):
        raise ValueError(f"has no list of vectors under `data`: {NOT_THE_API}")
    if len(data) != n:
        raise ValueError(f"has {len(data)} vectors for {n} texts: lower batch_size")
    indices = [entry.get("index") for entry in data]
    if not all(isinstance(index, int) for index in indices) or sorted(indices) != list(range(n)):
        raise ValueError(f"has indices other than 0 to {n - 1}, each once: {BAD_MODEL}")
    by_index = {entry["index"]: _numbers(entry.get("embedding")) for entry in data}
    if len({len(vector) for vector in by_index.values()}) > 1:
        raise ValueError(f"has vectors of different lengths: {BAD_MODEL}")
    vectors = np.stack([by_index[index] for index in range(n)])
    if wrong := int((~np.isfinite(vectors)).any(axis=1).sum()):
        raise ValueError(f"has NaN or infinity in {wrong} of {n} vectors: {BAD_MODEL}")
    if wrong := int((~vectors.any(axis=1)).sum()):
        raise ValueError(f"has only zeros in {wrong} of {n} vectors: {BAD_MODEL}")
    return vectors


def _numbers(vector: Any) -> np.ndarray:  # noqa: ANN401
    """float64 [D] of a JSON value."""
    try:
        array = np.array(vector if isinstance(vector, list) else [])
    except (ValueError, OverflowError):
        array = np.array([])
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iuf":
        raise ValueError(f"has a vector that is not a list of numbers: {BAD_MODEL}")
    return array.astype(np.float64)


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """float32 [n, D], each row of length one."""
    scaled = vectors / np.abs(vectors).max(axis=1, keepdims=True)  # the square of 1e200 is inf
    return (scaled / np.linalg.norm(scaled, axis=1, keepdims=True)).astype(np.float32)
