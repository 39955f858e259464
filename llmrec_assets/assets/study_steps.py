"""How the variants of a study are planned, fitted where they were not yet, and put together.

Imports torch: assets import this module in their bodies only.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import dagster as dg
import numpy as np

from llmrec_assets.assets.model_inputs import read_inputs
from llmrec_assets.assets.training_steps import code_version
from llmrec_assets.core.ablation import Outcome
from llmrec_assets.core.config import ModelConfig
from llmrec_assets.core.encoder_head import base_of
from llmrec_assets.core.splits import leave_one_out
from llmrec_assets.core.text_study import GAINS, Measured, measure
from llmrec_assets.core.text_variants import VARIANTS, Encoder, Variant, setting_of
from llmrec_assets.core.trainer import NothingToLearn
from llmrec_assets.core.training import EpochReport
from llmrec_assets.resources.arrays import Arrays
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.sql import studies as studies_sql
from llmrec_assets.sql.studies import Fit
from llmrec_assets.sql.training_data import Scaling, TrainingData

FOLDER = "studies"


@dataclass(frozen=True)
class Material:
    """What all variants are made from."""

    data: TrainingData  # of the evaluation fit
    vectors: dict[Encoder, np.ndarray]  # float32 [T, D] each
    encoders: dict[Encoder, str]  # their names
    seconds: dict[Encoder, float]  # spent on making them
    code: str  # version of what fits; read once, for a study may outlive an edit

    def under(self, encoder: Encoder) -> TrainingData:
        """The data with another encoder's vectors."""
        catalogue = replace(self.data.catalogue, embeddings=self.vectors[encoder])
        return replace(self.data, catalogue=catalogue)


def read(warehouse: Warehouse, arrays: Arrays, scaling: Scaling) -> Material:
    """The data, with the vectors of the encoder in use, of the frozen and of the tuned one.

    Raises:
        dagster.Failure: no item has a text.
    """
    inputs = read_inputs(warehouse, arrays, scaling, ("evaluation",))
    base = base_of(inputs.encoder)
    with warehouse.connect() as connection:
        tuned = studies_sql.tuned_encoder(connection, base)
    names: dict[Encoder, str] = {"in use": inputs.encoder, "frozen": base}
    if tuned is not None:
        names["tuned"] = tuned
    read = {
        name: read_inputs(warehouse, arrays, scaling, ("evaluation",), encoder=name)
        for name in dict.fromkeys(names.values())
    }
    with warehouse.connect() as connection:
        spent: dict[Encoder, float] = {
            kind: studies_sql.encoding_seconds(connection, base, name)
            for kind, name in names.items()
        }
    data = inputs.data["evaluation"]
    if not len(data.catalogue.embeddings):
        raise dg.Failure(
            "no item has a text, so there is nothing to compare: land a file of items with titles"
            " and materialise text_features"
        )
    vectors: dict[Encoder, np.ndarray] = {
        kind: read[name].data["evaluation"].catalogue.embeddings for kind, name in names.items()
    }
    return Material(data, vectors, names, spent, code_version())


def plan(
    names: Sequence[str], config: ModelConfig, encoders: dict[Encoder, str]
) -> tuple[dict[str, Variant], list[str]]:
    """The variants to measure, and why others of `names` are not."""
    chosen: dict[str, Variant] = {}
    notes, seen = [], {}
    for name in names:
        variant = VARIANTS[name]
        if variant.encoder not in encoders:
            notes.append(f"{name} is left out: no encoder was tuned here")
            continue
        setting = setting_of(variant, config, encoders)
        if setting in seen:
            notes.append(f"{name} is the same as {seen[setting]}")
            continue
        seen[setting], chosen[name] = name, variant
    return chosen, notes


def run(
    variants: dict[str, Variant],
    config: ModelConfig,
    seeds: Sequence[int],
    material: Material,
    warehouse: Warehouse,
    arrays: Arrays,
    report: Callable[[str], None],
) -> dict[str, Outcome]:
    """Measure every variant with every seed that was not measured yet; a kill loses one fit."""
    found: dict[str, list[tuple[np.ndarray, float]]] = {name: [] for name in variants}
    steps = [(seed, name) for seed in seeds for name in variants]
    for step, (seed, name) in enumerate(steps, 1):
        variant, own = variants[name], config.model_copy(update={"seed": seed})
        fit = _identity(variant, own, material)
        with warehouse.connect() as connection:
            row = studies_sql.fitted(connection, fit)
        where = f"{step} of {len(steps)}, {name}, seed {seed}"
        if row is not None and arrays.exists(str(row["gains_file"])):
            report(f"{where}: measured before")
        else:
            report(f"{where}: {variant.says} …")
            measured = _measure(variant, own, material, report)
            row = _record(fit, name, measured, warehouse, arrays)
            report(f"{where}: NDCG@10 {row['served_ndcg_at_10']:.4f}")
        gains = np.array(arrays.open(str(row["gains_file"])))
        found[name].append((gains, float(str(row["cpu_seconds"]))))
    return {
        name: Outcome(
            np.stack([gains for gains, _ in own]),
            float(np.mean([seconds for _, seconds in own])),
            material.seconds[variants[name].encoder] if _encoded(variants[name]) else 0.0,
            variants[name].placebo,
        )
        for name, own in found.items()
    }


def _encoded(variant: Variant) -> bool:
    """Whether it reads what an encoder made."""
    return variant.vectors in ("own", "shuffled")


def _identity(variant: Variant, config: ModelConfig, material: Material) -> Fit:
    setting = setting_of(variant, config, material.encoders)
    digest = hashlib.sha256(setting.encode()).hexdigest()[:12]
    return Fit(material.data.fingerprint, material.code, digest, config.seed)


def _measure(
    variant: Variant, config: ModelConfig, material: Material, report: Callable[[str], None]
) -> Measured:
    def epoch(done: EpochReport) -> None:
        report(f"epoch {done.epoch}: validation NDCG@10 {done.validation_ndcg or 0.0:.4f}")

    data = material.under(variant.encoder)
    split = leave_one_out(data.sequences)
    if not (split.test >= 0).any():
        raise dg.Failure("no user has an event to test on: users with three events are needed")
    try:
        return measure(variant, data.sequences, data.catalogue, config, split, epoch)
    except NothingToLearn as error:
        raise dg.Failure(f"nothing to study: {error}") from error


def _record(
    fit: Fit, name: str, measured: Measured, warehouse: Warehouse, arrays: Arrays
) -> dict[str, object]:
    """Write the gains, then the row that refers to them; the row."""
    means = [None if np.isnan(mean) else float(mean) for mean in measured.gains.mean(0)]
    row = {
        "variant": name,
        "users": len(measured.gains),
        **{f"{gain}_at_10": mean for gain, mean in zip(GAINS, means, strict=True)},
        "epochs": measured.epochs,
        "cpu_seconds": measured.cpu_seconds,
        "gains_file": arrays.write(f"{FOLDER}/{fit.name}.npy", measured.gains),
    }
    with warehouse.connect() as connection:
        studies_sql.record_fit(connection, fit, row)
    return row
