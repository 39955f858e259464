"""How an encoder of stage 3 is tuned by behaviour, judged, and kept or left.

Imports torch: assets import this module in their bodies only.
"""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from llmrec_assets.assets.encoder_kinds import Report, Tuning
from llmrec_assets.assets.encoder_material import Material
from llmrec_assets.core.encoder_gain import Gain, blend_gain, halves, sampled, text_gain
from llmrec_assets.core.fine_tuning import Course
from llmrec_assets.core.reproducible import reproducible
from llmrec_assets.resources.arrays import Arrays
from llmrec_assets.resources.registry import Registry
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.sql import s3_embeddings as embeddings_sql

_COURSE = "course.json"


def judge(material: Material, tuned: np.ndarray, seed: int) -> tuple[Gain, Gain]:
    """What it gains by text alone and beside counting, on the validation targets of the split.

    `tuned` are the items' tuned vectors, float32 [V+1, D].
    """
    sequences, split = material.histories.sequences, material.split
    targets = sampled(split.validation, material.catalogue.n_items, seed)
    span, sides = (material.catalogue, sequences, split.train_end), (material.vectors, tuned)
    return text_gain(*span, targets, *sides), blend_gain(*span, *halves(targets), *sides)


def decide(text: Gain, blend: Gain) -> tuple[bool, str]:
    """Whether the tuned encoder is used, and why."""
    numbers = (
        f"next items by text alone: NDCG@10 {text.frozen:.4f} frozen, {text.tuned:.4f} tuned,"
        f" difference {text.lower:+.4f} to {text.upper:+.4f}; beside counting and words"
        f" {blend.frozen:.4f} and {blend.tuned:.4f}, {blend.lower:+.4f} to {blend.upper:+.4f}"
    )
    if text.lower <= 0:
        return False, f"tuning gains nothing that is sure: {numbers}"
    if blend.upper < 0:
        return False, f"tuning makes the whole worse: {numbers}"
    return True, numbers


def tuned_or_frozen(
    tuning: Tuning,
    material: Material,
    base: str,
    minimum_pairs: int,
    warehouse: Warehouse,
    arrays: Arrays,
    registry: Registry,
    run_id: str,
    threads: int,
    report: Report,
) -> tuple[dict[str, Any], Course | None]:
    """The row of the decision, and the course of the tuning where there was one.

    A version that was decided before is decided the same way without any tuning, and one that was
    tuned before the command was killed is only judged.
    """
    pairs, through = len(material.pairs), material.histories.through
    least = max(minimum_pairs, tuning.least_pairs)
    if pairs < least:
        reason = f"{pairs} pairs in the training period are fewer than {least}"
        return off(base, reason, pairs, through), None
    settings = json.dumps(tuning.settings(), sort_keys=True)
    version = material.version(base, tuning.kind, settings)
    row = _decided(version, warehouse, arrays, registry)
    if row is None:
        row = off(base, "", pairs, through) | {"version": version}
        row |= _tune_and_judge(tuning, material, version, registry, run_id, threads, report)
    else:
        report(f"{version} was tuned and judged before")
    if row["outcome"] == "promoted":
        registry.promote(version, str(row["reason"]))
    return row, _course(registry.folder(version))


def _decided(
    version: str, warehouse: Warehouse, arrays: Arrays, registry: Registry
) -> dict[str, Any] | None:
    """The row of an earlier decision whose files are still there."""
    with warehouse.connect() as connection:
        row = embeddings_sql.item_encoder_row(connection, version)
    if row is None or not registry.has(version):
        return None
    if row["head_file"] and not arrays.exists(str(row["head_file"])):
        return None
    return {name: value for name, value in row.items() if name != "decided_at"}


def _tune_and_judge(
    tuning: Tuning,
    material: Material,
    version: str,
    registry: Registry,
    run_id: str,
    threads: int,
    report: Report,
) -> dict[str, Any]:
    """Tune and register what is not registered yet, judge it, and log both to MLflow."""
    started = time.process_time()

    def save(folder: Path) -> None:
        course = tuning.train(material, folder, report)
        (folder / _COURSE).write_text(course.model_dump_json(indent=1), encoding="utf-8")

    with reproducible(tuning.seed, threads), registry.run(version, run_id) as (client, mlflow_run):
        for name, value in tuning.settings().items():
            client.log_param(mlflow_run, name, value)
        registry.register_files(version, save, mlflow_run)
        folder = registry.folder(version)
        course = _course(folder)
        for step, ndcg in course.curve:
            client.log_metric(mlflow_run, "past_text_ndcg_at_10", ndcg, step=step)
        vectors, head_file = tuning.apply(material, version, folder, report)
        gains = dict(zip(("text", "blend"), judge(material, vectors, tuning.seed), strict=True))
        for name, gain in gains.items():
            client.log_metric(mlflow_run, f"{name}_ndcg_at_10_frozen", gain.frozen)
            client.log_metric(mlflow_run, f"{name}_ndcg_at_10_tuned", gain.tuned)
    promoted, reason = decide(gains["text"], gains["blend"])
    row = {
        "outcome": "promoted" if promoted else "kept",
        "reason": reason,
        "steps": course.best_step,
        "head_file": head_file,
        "cpu_seconds": time.process_time() - started,
    }
    if promoted:
        row["encoder"] = version
    for name, gain in gains.items():
        row |= {
            f"{name}_ndcg_frozen": gain.frozen,
            f"{name}_ndcg_tuned": gain.tuned,
            f"{name}_gain_lower": gain.lower,
            f"{name}_gain_upper": gain.upper,
        }
    return row


def _course(folder: Path) -> Course:
    return Course.model_validate_json((folder / _COURSE).read_text(encoding="utf-8"))


def off(base: str, reason: str, pairs: int = 0, through: int = 0) -> dict[str, Any]:
    """The row of a decision without tuning: the frozen encoder is used."""
    row = dict.fromkeys(column.name for column in embeddings_sql.ITEM_ENCODER.columns[:-1])
    return row | {
        "version": base,
        "base": base,
        "outcome": "off",
        "reason": reason,
        "encoder": base,
        "pairs": pairs,
        "steps": 0,
        "trained_through": through,
        "cpu_seconds": 0.0,
    }
