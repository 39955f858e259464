"""Stage 3: every distinct text as a vector."""

import dagster as dg
import numpy as np

from llmrec_assets.assets import s2_sequences
from llmrec_assets.assets.table_metadata import run_metadata, static_metadata
from llmrec_assets.resources.arrays import Arrays
from llmrec_assets.resources.encoder import TextEncoder
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.sql import s3_embeddings as embeddings_sql
from llmrec_assets.sql.s3_embeddings import TEXT_FEATURES


@dg.asset(
    deps=[s2_sequences.user_sequences],
    kinds={"huggingface", "duckdb"},
    owners=["team:ml"],
    pool="encoding",
    metadata=static_metadata(TEXT_FEATURES),
)
def text_features(
    context: dg.AssetExecutionContext, warehouse: Warehouse, arrays: Arrays, encoder: TextEncoder
) -> dg.MaterializeResult:
    """One row per item, and per behaviour with an item: e = f(text), only new texts encoded.

    The vectors lie in one matrix beside the warehouse; embedding_row is the row there.
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
            "newly_encoded": encoded.texts,
            "reused": texts - encoded.texts,
            "encoding_seconds": round(encoded.seconds, 2),
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
