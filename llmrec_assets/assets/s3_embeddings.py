"""Stage 3: the encoder, tuned by behaviour where that helps, and the vectors of all texts."""

from typing import TYPE_CHECKING, Literal

import dagster as dg
import numpy as np
from pydantic import Field

from llmrec_assets.assets import plots, s2_sequences
from llmrec_assets.assets.table_metadata import run_metadata, static_metadata
from llmrec_assets.resources.arrays import Arrays
from llmrec_assets.resources.encoder import TextEncoder
from llmrec_assets.resources.registry import Registry
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.settings import choice, setting
from llmrec_assets.sql import s3_embeddings as embeddings_sql
from llmrec_assets.sql.s3_embeddings import ITEM_ENCODER, TEXT_FEATURES

if TYPE_CHECKING:
    from llmrec_assets.core.head_tuning import HeadConfig


class TuningConfig(dg.Config):
    """How the encoder learns from behaviour. The defaults work without tuning."""

    tuning: Literal["head", "off"] = Field(
        default=choice("TUNE_ENCODER", "head", ("head", "off")),
        description="head: a linear map of the frozen vectors; off: the frozen vectors.",
    )
    window: int = Field(
        default=3, description="Events apart at which two items of a user are a pair.", ge=1
    )
    minimum_pairs: int = Field(
        default=20_000, description="Fewer pairs say too little, and nothing is tuned.", ge=1
    )
    max_steps: int = Field(default=1000, description="Budget, in batches of pairs.", ge=1)
    seed: int = Field(default=setting("SEED", 0, minimum=0), description="The one seed of a run.")
    threads: int = Field(
        default=setting("THREADS", 1, minimum=1),
        description="Of the tuning; a rerun is equal for equal threads.",
        ge=1,
    )

    def head(self) -> "HeadConfig":
        """The same choices as the core takes them."""
        from llmrec_assets.core.head_tuning import HeadConfig

        return HeadConfig(window=self.window, max_steps=self.max_steps, seed=self.seed)


@dg.asset(
    deps=[s2_sequences.user_sequences, s2_sequences.clean_events],
    kinds={"huggingface", "torch", "mlflow"},
    owners=["team:ml"],
    pool="encoding",
    metadata=static_metadata(ITEM_ENCODER),
)
def item_encoder(
    context: dg.AssetExecutionContext,
    config: TuningConfig,
    warehouse: Warehouse,
    arrays: Arrays,
    encoder: TextEncoder,
    encoder_registry: Registry,
) -> dg.MaterializeResult:
    """One row per tuned encoder: what users consume together lies together, if that helps.

    Tuned on pairs of the training period, judged by next items found by text alone and beside what
    counts; the frozen encoder stays where the gain is not sure. The vectors of older versions stay.
    """
    from llmrec_assets.assets import encoder_steps, text_steps

    name, tuned = encoder.name(), None
    if config.tuning == "off":
        row = encoder_steps.off(name, "tuning is switched off")
    else:
        text_steps.encode_new(warehouse, arrays, name, encoder.encoder, context.log.info, True)
        material = encoder_steps.read(warehouse, arrays, name, config.window)
        row, tuned = encoder_steps.tuned_or_frozen(
            material,
            name,
            config.head(),
            config.minimum_pairs,
            arrays,
            encoder_registry,
            context.run.run_id,
            config.threads,
            context.log.info,
        )
    with warehouse.connect() as connection:
        embeddings_sql.record_item_encoder(connection, row)
        metadata = run_metadata(connection, ITEM_ENCODER)
    context.log.info(f"{row['encoder']} is used: {row['reason']}")
    shown = {key: value for key, value in row.items() if value is not None}
    if tuned is not None:
        from llmrec_assets.core.reports import tuning_plot

        shown["tuning_curve"] = plots.as_metadata(tuning_plot(tuned.curve, tuned.best_step))
    return dg.MaterializeResult(
        metadata={**metadata, **shown}, data_version=dg.DataVersion(str(row["encoder"]))
    )


@dg.asset(
    deps=[s2_sequences.user_sequences, item_encoder],
    kinds={"huggingface", "duckdb"},
    owners=["team:ml"],
    pool="encoding",
    metadata=static_metadata(TEXT_FEATURES),
)
def text_features(
    context: dg.AssetExecutionContext, warehouse: Warehouse, arrays: Arrays, encoder: TextEncoder
) -> dg.MaterializeResult:
    """One row per item, per behaviour with an item and per history that is told: e = f(text).

    Only new texts are encoded. The vectors lie in one matrix beside the warehouse; embedding_row is
    the row there.
    """
    from llmrec_assets.assets import text_steps

    name = encoder.name()
    encoded = text_steps.encode_new(warehouse, arrays, name, encoder.encoder, context.log.info)
    texts, dimension = text_steps.assemble(warehouse, arrays, name, encoder.dimension)
    with warehouse.connect() as connection:
        metadata = run_metadata(connection, TEXT_FEATURES)
    return dg.MaterializeResult(
        metadata={
            **metadata,
            "encoder": name,
            "texts": texts,
            "dimension": dimension,
            "reused": texts - encoded.texts,
            **encoded.metadata(),
        }
    )


@dg.asset_check(asset=text_features, blocking=True)
def embeddings_are_finite(warehouse: Warehouse, arrays: Arrays) -> dg.AssetCheckResult:
    """Every number of the matrix is finite, and every row that is referred to is there."""
    with warehouse.connect() as connection:
        matrix = arrays.open(embeddings_sql.current_matrix(connection)[1])
        referred = connection.execute(
            f"select coalesce(max(embedding_row) + 1, 0) from {TEXT_FEATURES.full_name}"
        ).fetchall()[0][0]
    broken = int((~np.isfinite(matrix)).any(axis=1).sum()) if matrix.size else 0
    return dg.AssetCheckResult(
        passed=broken == 0 and referred <= len(matrix),
        metadata={"broken_rows": broken, "rows": len(matrix), "rows_referred_to": int(referred)},
    )


@dg.asset_check(asset=text_features)
def texts_differ(warehouse: Warehouse, arrays: Arrays) -> dg.AssetCheckResult:
    """Not all texts have one and the same vector."""
    with warehouse.connect() as connection:
        matrix = arrays.open(embeddings_sql.current_matrix(connection)[1])
    return dg.AssetCheckResult(
        passed=len(matrix) < 2 or bool((matrix != matrix[0]).any()),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"texts": len(matrix)},
    )
