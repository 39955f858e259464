"""How the texts of stage 3 get their vectors: encode what is new, assemble what is there."""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from llmrec_assets.core.encoding import Encoder
from llmrec_assets.core.half_precision import neighbours_kept
from llmrec_assets.core.parallel import MapMade, here
from llmrec_assets.resources.arrays import Arrays
from llmrec_assets.resources.embedding_endpoint import EmbeddingEndpoint
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.sql import s3_embeddings as embeddings_sql

BATCH = 4096
FOLDER = "text_features"


@dataclass(frozen=True)
class Encoded:
    """What one run encoded."""

    texts: int
    seconds: float
    seconds_saved: float | None
    tokens: int | None  # as the endpoint counts them
    cost: float | None
    float16_neighbours_kept: float | None  # of a sample of the first batch

    def metadata(self) -> dict[str, int | float]:
        """What the materialisation shows of it."""
        shown = {
            "newly_encoded": self.texts,
            "encoding_seconds": round(self.seconds, 2),
            "seconds_saved": self.seconds_saved and round(self.seconds_saved, 2),
            "tokens": self.tokens,
            "cost": self.cost,
            "float16_neighbours_kept": self.float16_neighbours_kept,
        }
        return {name: value for name, value in shown.items() if value is not None}


def encode_new(
    warehouse: Warehouse,
    arrays: Arrays,
    name: str,
    make_encoder: Callable[[], Encoder],
    report: Callable[[str], None],
    items_alone: bool = False,
    map_made: MapMade = here,
) -> Encoded:
    """Encode the texts that have no vector under `name`; a kill loses at most one batch.

    A batch's file is written before its rows are committed: without them it is an orphan that the
    next run overwrites. What an endpoint was paid for is kept, also where a later batch fails.
    """
    with warehouse.connect() as connection:
        lost = embeddings_sql.forget_lost(connection, name, arrays.exists)
        waiting = embeddings_sql.new_texts(connection, name, items_alone)
    if lost:
        report(f"the files of {lost} vectors are gone: texts still in use are encoded again")
    started, encoder = time.perf_counter(), make_encoder() if waiting else None
    done, characters, kept = 0, 0, None
    try:
        for keys, texts, vectors in _batches(encoder, waiting, make_encoder, map_made):
            kept = neighbours_kept(vectors) if kept is None else kept
            part = arrays.write(embeddings_sql.part_name(name, keys), vectors.astype(np.float16))
            with warehouse.connect() as connection:
                embeddings_sql.remember(connection, name, keys, part)
            done, characters = done + len(keys), characters + sum(map(len, texts))
            seconds = time.perf_counter() - started
            rate, left = done / seconds, (len(waiting) - done) * seconds / done
            report(f"{done} of {len(waiting)} texts, {rate:.0f} a second, {left:.0f} s left")
    finally:
        usage = encoder.usage if isinstance(encoder, EmbeddingEndpoint) else None
        spent = {
            "tokens": usage.tokens if usage else None,
            "cost": usage.cost if usage else None,
            "seconds": time.perf_counter() - started,
        }
        with warehouse.connect() as connection:
            row = embeddings_sql.record_encoding(
                connection, name, encoded=done, characters=characters, **spent
            )
    saved = row["seconds_saved"]
    return Encoded(done, **spent, seconds_saved=saved, float16_neighbours_kept=kept)


def _batches(
    encoder: Encoder | None,
    waiting: list[tuple[str, str]],
    make_encoder: Callable[[], Encoder],
    map_made: MapMade,
) -> Iterator[tuple[list[str], list[str], np.ndarray]]:
    """(keys, texts, float32 vectors) of each batch, once it is encoded."""
    if isinstance(encoder, EmbeddingEndpoint):  # it has its own workers, and one budget
        texts = [text for _, text in waiting]
        for place, vectors in encoder.encode_batches(texts):
            yield [key for key, _ in waiting[place]], texts[place], vectors
        return
    batches = [waiting[first : first + BATCH] for first in range(0, len(waiting), BATCH)]
    texts = [[text for _, text in batch] for batch in batches]
    encoded = map_made(partial(_encode, make_encoder), texts)
    for batch, own, vectors in zip(batches, texts, encoded, strict=True):
        yield [key for key, _ in batch], own, vectors


def _encode(make_encoder: Callable[[], Encoder]) -> Callable[[list[str]], np.ndarray]:
    return make_encoder().encode


def assemble(
    warehouse: Warehouse, arrays: Arrays, names: Sequence[str], dimension: Callable[[], int]
) -> tuple[int, int]:
    """Put the vectors of all current texts into a matrix an encoder, and make them current.

    The matrices stay as they are while texts and encoders do. `names` are those of the encoders,
    the frozen one first; `dimension` is asked only where there is no text at all.

    Returns:
        The shape of the matrices.

    Raises:
        DimensionChanged: an encoder gave vectors of another length before.
    """
    with warehouse.connect() as connection:
        files = embeddings_sql.published_matrices(connection, names)
    if files and all(map(arrays.exists, files.values())):
        arrays.keep_only(FOLDER, set(files.values()))
        return arrays.open(files[names[0]]).shape
    files, shape = {}, (0, 0)
    for name in names:
        with warehouse.connect() as connection:
            places = embeddings_sql.places(connection, name)
        keys = places["text_key"]
        matrix = (
            gather(arrays, places, name) if len(keys) else np.zeros((0, dimension()), np.float16)
        )
        digest = hashlib.sha256("".join(keys).encode()).hexdigest()[:16]
        files[name] = arrays.write(f"{FOLDER}/{name}-{digest}.npy", matrix)
        shape = matrix.shape
    with warehouse.connect() as connection:
        embeddings_sql.publish(connection, files, shape[0])
    arrays.keep_only(FOLDER, set(files.values()))
    return shape


class DimensionChanged(Exception):
    """One encoder's vectors are of different lengths."""


def gather(arrays: Arrays, places: dict[str, np.ndarray], name: str) -> np.ndarray:
    """The vectors at `places` (part, part_row), of which there is at least one, float16 [n, D].

    Raises:
        DimensionChanged: they are of different lengths.
    """
    rows = places["part_row"]
    codes, parts = pd.factorize(places["part"], sort=True)
    matrix = np.zeros((0, 0), np.float16)
    by_part = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
    for part, chosen in zip(parts, by_part, strict=True):
        vectors = arrays.open(part)
        if not matrix.size:
            matrix = np.zeros((len(rows), vectors.shape[1]), np.float16)
        if vectors.shape[1] != matrix.shape[1]:
            raise DimensionChanged(
                f"the encoder {name} gave vectors of {matrix.shape[1]} and of {vectors.shape[1]}"
                " numbers: set its dimensions, or name the model by its version"
            )
        matrix[chosen] = vectors[rows[chosen]]
    return matrix
