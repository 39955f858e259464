"""Stage 3: the encoder, tuned by behaviour where that helps, and the vectors of all texts."""

from functools import partial
from typing import TYPE_CHECKING, Literal

import dagster as dg
import numpy as np
from pydantic import Field

from llmrec_assets.assets import plots, s2_sequences
from llmrec_assets.assets.table_metadata import run_metadata, static_metadata
from llmrec_assets.core.encoder_head import base_of, is_fine_tuned
from llmrec_assets.resources.arrays import Arrays
from llmrec_assets.resources.encoder import TextEncoder
from llmrec_assets.resources.engine import Engine
from llmrec_assets.resources.registry import CHAMPION, Registry
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.settings import choice, setting
from llmrec_assets.sql import s3_embeddings as embeddings_sql
from llmrec_assets.sql.s3_embeddings import ITEM_ENCODER, TEXT_FEATURES

if TYPE_CHECKING:
    from llmrec_assets.assets.encoder_kinds import Tuning


class TuningConfig(dg.Config):
    """How the encoder learns from behaviour. The defaults work without tuning."""

    tuning: Literal["head", "lora", "full", "off"] = Field(
        default=choice("TUNE_ENCODER", "head", ("head", "lora", "full", "off")),
        description="head: a linear map of the frozen vectors; lora, full: the transformer beneath"
        " it too, by low-rank adapters or with all its weights; off: the frozen vectors.",
    )
    window: int = Field(
        default=3, description="Events apart at which two items of a user are a pair.", ge=1
    )
    minimum_pairs: int = Field(
        default=20_000, description="Fewer pairs say too little, and nothing is tuned.", ge=1
    )
    max_steps: int = Field(default=1000, description="Of the head, in batches of pairs.", ge=1)
    transformer_steps: int = Field(
        default=100, description="Of lora and full, in batches of 128 texts.", ge=1
    )
    seed: int = Field(default=setting("SEED", 0, minimum=0), description="The one seed of a run.")
    threads: int = Field(
        default=setting("THREADS", 1, minimum=1),
        description="Of the tuning; a rerun is equal for equal threads.",
        ge=1,
    )

    def way(self, warehouse: Warehouse, arrays: Arrays, encoder: TextEncoder) -> "Tuning":
        """The same choices as what tunes.

        Raises:
            EncoderUnavailable: the encoder cannot be tuned that way.
        """
        from llmrec_assets.assets.encoder_kinds import FineTuning, HeadTuning
        from llmrec_assets.core.fine_tuning import FineTuneConfig
        from llmrec_assets.core.head_tuning import HeadConfig

        head = HeadConfig(window=self.window, max_steps=self.max_steps, seed=self.seed)
        if self.tuning not in ("lora", "full"):
            return HeadTuning(head, arrays)
        load = encoder.trainable(self.tuning)
        config = FineTuneConfig(kind=self.tuning, max_steps=self.transformer_steps, seed=self.seed)
        return FineTuning(config, head, encoder, load, warehouse, arrays)


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
    engine: Engine,
    encoder_registry: Registry,
) -> dg.MaterializeResult:
    """One row per tuned encoder: what users consume together lies together, if that helps.

    Tuned on pairs of the training period, judged by next items found by text alone and beside what
    counts; the frozen encoder stays where the gain is not sure. The vectors of older versions stay.
    What was tuned and judged on the same data before is not again.
    """
    from llmrec_assets.assets import encoder_material, encoder_steps, text_steps

    name, course = encoder.name(), None
    if config.tuning == "off":
        row = encoder_steps.off(name, "tuning is switched off")
    else:
        way = config.way(warehouse, arrays, encoder)
        text_steps.encode_new(
            warehouse, arrays, name, encoder.maker(), context.log.info, True, engine.map_made
        )
        row, course = encoder_steps.tuned_or_frozen(
            way,
            encoder_material.read(warehouse, arrays, name, config.window),
            name,
            config.minimum_pairs,
            warehouse,
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
    if course is not None:
        from llmrec_assets.core.reports import tuning_plot

        shown["tuning_curve"] = plots.as_metadata(tuning_plot(course.curve, course.best_step))
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
    context: dg.AssetExecutionContext,
    warehouse: Warehouse,
    arrays: Arrays,
    encoder: TextEncoder,
    engine: Engine,
    encoder_registry: Registry,
    registry: Registry,
) -> dg.MaterializeResult:
    """One row per item, per behaviour with an item and per history that is told: e = f(text).

    Only new texts are encoded. The vectors lie in one matrix an encoder beside the warehouse;
    embedding_row is the row there. Besides the frozen encoder, those that were fine-tuned encode:
    the one in use, and the one that the champion reads, so that an older champion still ranks.
    """
    from llmrec_assets.assets import text_steps

    name, log = encoder.name(), context.log.info
    with warehouse.connect() as connection:
        chosen = embeddings_sql.chosen_encoder(connection, name)
    champion = registry.alias(CHAMPION)
    read = registry.info(champion).encoder if champion else name
    fine_tuned = [own for own in sorted({chosen, read}) if is_fine_tuned(own)]
    encode = partial(text_steps.encode_new, warehouse, arrays, map_made=engine.map_made)
    encoded = encode(name, encoder.maker(), log)
    names = [name, *(own for own in fine_tuned if base_of(own) == name)]
    for own in names[1:]:
        encode(own, encoder.maker(encoder_registry.folder(own)), log)
    texts, dimension = text_steps.assemble(warehouse, arrays, names, encoder.dimension)
    with warehouse.connect() as connection:
        metadata = run_metadata(connection, TEXT_FEATURES)
    return dg.MaterializeResult(
        metadata={
            **metadata,
            "encoder": name,
            "fine_tuned": names[1:],
            "texts": texts,
            "dimension": dimension,
            "reused": texts - encoded.texts,
            **encoded.metadata(),
        }
    )


@dg.asset_check(asset=text_features, blocking=True)
def embeddings_are_finite(warehouse: Warehouse, arrays: Arrays) -> dg.AssetCheckResult:
    """Every number of the matrices is finite, and every row that is referred to is there."""
    with warehouse.connect() as connection:
        files = embeddings_sql.current_matrices(connection).values()
        referred = connection.execute(
            f"select coalesce(max(embedding_row) + 1, 0) from {TEXT_FEATURES.full_name}"
        ).fetchall()[0][0]
    matrices = [arrays.open(file) for file in files]
    broken = sum(int((~np.isfinite(m)).any(axis=1).sum()) for m in matrices if m.size)
    rows = min(map(len, matrices))
    return dg.AssetCheckResult(
        passed=broken == 0 and referred <= rows,
        metadata={"broken_rows": broken, "rows": rows, "rows_referred_to": int(referred)},
    )


@dg.asset_check(asset=text_features)
def texts_differ(warehouse: Warehouse, arrays: Arrays) -> dg.AssetCheckResult:
    """Not all texts have one and the same vector, whatever the encoder."""
    with warehouse.connect() as connection:
        files = embeddings_sql.current_matrices(connection).values()
    matrices = [arrays.open(file) for file in files]
    return dg.AssetCheckResult(
        passed=all(len(m) < 2 or bool((m != m[0]).any()) for m in matrices),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"texts": len(matrices[0])},
    )
