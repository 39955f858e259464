"""Studies: what a part of the system is worth on this store's data. Not part of the daily flow."""

from typing import Any

import dagster as dg
import pandas as pd
from pydantic import Field, field_validator

from llmrec_assets.assets import plots, s3_embeddings, s4_features
from llmrec_assets.assets.s5_model import TrainingConfig
from llmrec_assets.assets.table_metadata import (
    markdown,
    run_metadata,
    static_metadata,
    table_schema,
)
from llmrec_assets.core.ablation import Outcome, seed_table, slice_table, table, verdict
from llmrec_assets.core.config import ModelConfig
from llmrec_assets.core.text_variants import BASELINE, DEFAULT, VARIANTS
from llmrec_assets.resources.arrays import Arrays
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.sql import studies as studies_sql
from llmrec_assets.sql.studies import TEXT_ABLATION, TEXT_ABLATION_FITS

# Subject → (variant with it, variant without it).
QUESTIONS = {
    "texts": (DEFAULT, BASELINE),
    "vectors of the language model without words": ("vectors_only", BASELINE),
    "words without a language model": ("words_only", BASELINE),
    "vectors beside words": (DEFAULT, "words_only"),
    "an item's own texts instead of another's": (DEFAULT, "shuffled_texts"),
    "random vectors instead of none": ("random_vectors", BASELINE),
    "vectors tuned by behaviour, which are in use,": (DEFAULT, "frozen_encoder"),
    "vectors tuned by behaviour, which are not in use,": ("tuned_encoder", DEFAULT),
}


class AblationConfig(TrainingConfig):
    """What is compared, how often, and how each is trained."""

    variants: list[str] = Field(
        default=list(VARIANTS),
        description="What the model is told of the items: "
        + "; ".join(f"{name}: {variant.says}" for name, variant in VARIANTS.items()),
        min_length=1,
    )
    seeds: int = Field(default=3, description="Fits of each variant, from `seed` upwards.", ge=1)

    @field_validator("variants")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        unknown = sorted(set(names) - set(VARIANTS))
        if unknown:
            raise ValueError(f"unknown variants {unknown}: choose of {', '.join(VARIANTS)}")
        return list(dict.fromkeys(names))

    def model(self) -> ModelConfig:
        """How each variant is trained."""
        return ModelConfig(**self.model_dump(exclude={"scaling", "start", "variants", "seeds"}))


@dg.asset(
    deps=[s4_features.fused_features, s3_embeddings.item_encoder],
    kinds={"torch"},
    owners=["team:ml"],
    pool="training",
    metadata={
        **static_metadata(TEXT_ABLATION),
        TEXT_ABLATION_FITS.full_name: table_schema(TEXT_ABLATION_FITS),
    },
)
def text_ablation(
    context: dg.AssetExecutionContext,
    config: AblationConfig,
    warehouse: Warehouse,
    arrays: Arrays,
) -> dg.MaterializeResult:
    """One row per slice, scorer and variant: what texts, words and language model add.

    Everything is fitted, weighted and stopped without the test targets, which each fit ranks once.
    What was measured before on the same data, with the same settings and code, is not fitted again.
    """
    from llmrec_assets.assets import study_steps
    from llmrec_assets.core.judging import training_counts
    from llmrec_assets.core.splits import leave_one_out

    material = study_steps.read(warehouse, arrays, config.scaling)
    variants, notes = study_steps.plan(config.variants, config.model(), material.encoders)
    for note in notes:
        context.log.info(note)
    seeds = range(config.seed, config.seed + config.seeds)
    outcomes = study_steps.run(
        variants, config.model(), seeds, material, warehouse, arrays, context.log.info
    )
    sequences, catalogue = material.data.sequences, material.data.catalogue
    split = leave_one_out(sequences)
    counts = training_counts(sequences, catalogue.n_items, split.train_end)
    targets = sequences.items[split.test[split.test >= 0]]
    rows = table(outcomes, counts[targets], (BASELINE, DEFAULT))
    with warehouse.connect() as connection:
        studies_sql.record_study(connection, rows)
        metadata = run_metadata(connection, TEXT_ABLATION)
    return dg.MaterializeResult(
        metadata={**metadata, **shown(rows, outcomes, list(seeds)), "notes": notes}
    )


def shown(rows: pd.DataFrame, outcomes: dict[str, Outcome], seeds: list[int]) -> dict[str, Any]:
    """What the study says: verdict, tables and a plot, as metadata."""
    from llmrec_assets.core.ablation_plot import ablation_plot

    found = verdict(outcomes, QUESTIONS)
    tables = {
        "scores": rows[rows["slice"] == "all"].drop(columns="slice"),
        "ndcg_by_training_events_of_the_target": slice_table(rows),
    }
    if DEFAULT in outcomes:
        tables["default_by_seed"] = seed_table(outcomes[DEFAULT], seeds)
    against = BASELINE if BASELINE in outcomes else DEFAULT
    return {
        "verdict": dg.MetadataValue.md("\n".join(f"- {line}" for line in found.sentences)),
        "best": found.best,
        "cheapest_not_surely_worse": found.cheapest,
        **{name: dg.MetadataValue.md(markdown(frame.round(4))) for name, frame in tables.items()},
        "plot": plots.as_metadata(ablation_plot(rows, against)),
    }
