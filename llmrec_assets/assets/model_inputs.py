"""What training, evaluation and scoring read of the warehouse.

Imports torch: assets import this module in their bodies only.
"""

from dataclasses import dataclass
from typing import Literal

from llmrec_assets.resources.arrays import Arrays
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.sql import s2_sequences as sequences_sql
from llmrec_assets.sql import s3_embeddings as embeddings_sql
from llmrec_assets.sql import training_data
from llmrec_assets.sql.training_data import Scaling, TrainingData

Fit = Literal["evaluation", "global", "final"]


@dataclass(frozen=True)
class Inputs:
    """What one training or scoring run reads."""

    data: dict[Fit, TrainingData]
    encoder: str
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
) -> Inputs:
    """Read the training data once for each of `fits`; the newest statistics when none is named."""
    with warehouse.connect() as connection:
        encoder, file = embeddings_sql.current_matrix(connection)
        matrix, words = arrays.open(file), training_data.item_words(connection)
        version = statistics_version or sequences_sql.newest_statistics(connection)
        data: dict[Fit, TrainingData] = {
            fit: training_data.load(
                connection, matrix, words, fit=fit, statistics_version=version, scaling=scaling
            )
            for fit in fits
        }
    return Inputs(data, encoder, version, scaling)
