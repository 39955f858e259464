"""How the texts of stage 3 get their vectors: encode what is new, assemble what is there."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from llmrec_assets.core.encoding import Encoder
from llmrec_assets.resources.arrays import Arrays
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.sql import s3_embeddings as embeddings_sql

BATCH = 4096
FOLDER = "text_features"


@dataclass(frozen=True)
class Encoded:
    """What one run encoded."""

    texts: int
    seconds: float


def encode_new(
    warehouse: Warehouse,
    arrays: Arrays,
    name: str,
    make_encoder: Callable[[], Encoder],
    report: Callable[[str], None],
) -> Encoded:
    """Encode the texts that have no vector under `name`; a kill loses at most one batch.

    A batch's file is written before its rows are committed: without them it is an orphan that the
    next run overwrites.
    """
    with warehouse.connect() as connection:
        lost = embeddings_sql.forget_lost(connection, name, arrays.exists)
        waiting = embeddings_sql.new_texts(connection, name)
    if lost:
        report(f"the files of {lost} vectors are gone: texts still in use are encoded again")
    started, encoder = time.perf_counter(), make_encoder() if waiting else None
    for first in range(0, len(waiting), BATCH):
        keys, texts = map(list, zip(*waiting[first : first + BATCH], strict=True))
        assert encoder is not None
        vectors = encoder.encode(texts)
        part = arrays.write(embeddings_sql.part_name(name, keys), vectors)
        with warehouse.connect() as connection:
            embeddings_sql.remember(connection, name, keys, part)
        done, seconds = first + len(keys), time.perf_counter() - started
        left = (len(waiting) - done) * seconds / done
        report(f"{done} of {len(waiting)} texts, {done / seconds:.0f} a second, {left:.0f} s left")
    return Encoded(len(waiting), time.perf_counter() - started)


def assemble(
    warehouse: Warehouse, arrays: Arrays, name: str, dimension: Callable[[], int]
) -> tuple[int, int]:
    """Put the vectors of all current texts into one matrix and make it current: its shape.

    `dimension` is asked only where there is no text at all.
    """
    with warehouse.connect() as connection:
        places = embeddings_sql.places(connection, name)
    keys, parts, rows = places["text_key"], places["part"], places["part_row"]
    matrix = np.zeros((0, 0 if len(keys) else dimension()), np.float32)
    for part in np.unique(parts.astype(str)):
        vectors, chosen = arrays.open(part), parts == part
        if not len(matrix):
            matrix = np.zeros((len(keys), vectors.shape[1]), np.float32)
        matrix[chosen] = vectors[rows[chosen]]
    digest = hashlib.sha256("".join(keys).encode()).hexdigest()[:16]
    file = arrays.write(f"{FOLDER}/{name}-{digest}.npy", matrix)
    with warehouse.connect() as connection:
        embeddings_sql.publish(connection, name, file, len(matrix))
    arrays.keep_only(FOLDER, {file})
    return matrix.shape
