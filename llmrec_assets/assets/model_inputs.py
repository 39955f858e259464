"""What training, evaluation and scoring read of the warehouse.

Imports torch: assets import this module in their bodies only.
"""

from dataclasses import dataclass
from typing import Literal

import duckdb
import numpy as np

from llmrec_assets.core.encoder_head import Head, base_of
from llmrec_assets.resources.arrays import Arrays
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.sql import s2_statistics as statistics_sql
from llmrec_assets.sql import s3_embeddings as embeddings_sql
from llmrec_assets.sql import training_data
from llmrec_assets.sql.training_data import Scaling, TrainingData

Fit = Literal["evaluation", "global", "final"]


@dataclass(frozen=True)
class Inputs:
    """What one training or scoring run reads."""

    data: dict[Fit, TrainingData]
    encoder: str  # whose vectors they hold
    statistics_version: str
    scaling: Scaling

    @property
    def final(self) -> TrainingData:
        """All events, scaled by the statistics of all events."""
        return self.data["final"]


def read_inputs(
    warehouse: Warehouse,
    arrays: Arrays,
    scaling: Scaling,
    fits: tuple[Fit, ...] = ("evaluation", "final"),
    statistics_version: str | None = None,
    encoder: str | None = None,
) -> Inputs:
    """Read the training data once for each of `fits`.

    Where none is named: the newest statistics, and the encoder that is in use. An encoder that
    cannot be had, because the texts were encoded by another one, is not in the answer's `encoder`.
    """
    with warehouse.connect() as connection:
        encoder, matrix = _vectors(connection, arrays, encoder)
        words = training_data.item_words(connection)
        version = statistics_version or statistics_sql.newest_statistics(connection)
        data: dict[Fit, TrainingData] = {
            fit: training_data.load(
                connection,
                matrix,
                words,
                fit=fit,
                statistics_version=version,
                scaling=scaling,
                allocate=arrays.scratch,
            )
            for fit in fits
        }
    return Inputs(data, encoder, version, scaling)


def _vectors(
    connection: duckdb.DuckDBPyConnection, arrays: Arrays, encoder: str | None
) -> tuple[str, np.ndarray]:
    """(name of the encoder, its matrix): the wanted one's, if it encoded the texts of now."""
    matrices = embeddings_sql.current_matrices(connection)
    base, file = next(iter(matrices.items()))
    chosen = encoder or embeddings_sql.chosen_encoder(connection, base)
    if chosen in matrices:
        return chosen, arrays.open(matrices[chosen])
    frozen = arrays.open(file)
    head = embeddings_sql.head_file(connection, chosen) if base_of(chosen) == base else None
    if head is None or not len(frozen):
        return base, frozen
    name = f"{file.removesuffix('.npy')}-{chosen.removeprefix(base)[1:]}.npy"
    return chosen, arrays.derive(name, frozen, Head.from_array(arrays.open(head)).apply)
