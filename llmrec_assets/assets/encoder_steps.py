"""How an encoder of stage 3 is tuned by behaviour, judged, and kept or left.

Imports torch: assets import this module in their bodies only.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from llmrec_assets.assets import text_steps
from llmrec_assets.core.encoder_gain import Gain, blend_gain, sampled, text_gain, text_scorer
from llmrec_assets.core.encoder_head import MARK, Head, Pairs, consumed_together
from llmrec_assets.core.head_tuning import HeadConfig, Tuned, tune_head
from llmrec_assets.core.ranking import evaluate
from llmrec_assets.core.reproducible import reproducible
from llmrec_assets.core.sequences import Catalogue
from llmrec_assets.core.splits import Split, global_time_split, hold_out_last, leave_one_out
from llmrec_assets.resources.arrays import Arrays
from llmrec_assets.resources.registry import Registry
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.sql import s3_embeddings as embeddings_sql
from llmrec_assets.sql import text_histories
from llmrec_assets.sql.text_histories import TextHistories


@dataclass(frozen=True)
class Material:
    """What an encoder is tuned on and judged by."""

    histories: TextHistories
    catalogue: Catalogue  # the embeddings are those of the items, by code
    split: Split
    past: Split  # what pairs come from, and the targets that stop the tuning
    pairs: Pairs

    @property
    def vectors(self) -> np.ndarray:
        """The frozen ones, float32 [V+1, D], zero without text."""
        return self.catalogue.embeddings

    def version(self, base: str, config: HeadConfig) -> str:
        """A hash of all that tuning depends on."""
        digest = hashlib.sha256(config.model_dump_json().encode())
        for array in (vars(self.pairs) | {"vectors": self.vectors, **vars(self.past)}).values():
            digest.update(np.ascontiguousarray(array).tobytes())
        return f"{base}{MARK}{digest.hexdigest()[:8]}"


def read(warehouse: Warehouse, arrays: Arrays, base: str, window: int) -> Material:
    """Read histories and vectors; the pairs come from the training period of every protocol.

    So no event that any evaluation holds out is in a pair, neither each user's last two nor those
    after the cut of the global time split, and none of them stops the tuning.
    """
    with warehouse.connect() as connection:
        histories = text_histories.load(connection)
        places = embeddings_sql.item_vectors(connection, base)
    sequences, n_items = histories.sequences, len(histories.text_keys)
    has_text = histories.has_text
    rows = np.where(has_text, np.arange(n_items + 1), -1).astype(np.int32)
    catalogue = Catalogue(
        n_items=n_items,
        text_rows=rows,
        embeddings=_item_matrix(arrays, places, histories, base),
        n_behaviors=1,
        word_offsets=histories.word_offsets,
        words=histories.words,
    )
    split = leave_one_out(sequences)
    end = split.train_end
    if not sequences.relative:
        end = np.minimum(end, global_time_split(sequences).train_end)
    past = hold_out_last(sequences, end)
    pairs = consumed_together(sequences, past.train_end, has_text, window)
    return Material(histories, catalogue, split, past, pairs)


def _item_matrix(
    arrays: Arrays, places: dict[str, np.ndarray], histories: TextHistories, base: str
) -> np.ndarray:
    """float32 [V+1, D], zero where an item has no text."""
    if not len(places["text_key"]):
        return np.zeros((len(histories.text_keys) + 1, 0), np.float32)
    gathered = text_steps.gather(arrays, places, base)
    row_of = {str(key): row for row, key in enumerate(places["text_key"])}
    matrix = np.zeros((len(histories.text_keys) + 1, gathered.shape[1]), np.float32)
    held = np.flatnonzero(histories.has_text)
    keys = [histories.text_keys[code - 1] for code in held]
    matrix[held] = gathered[[row_of[str(key)] for key in keys]]
    return matrix


def tune(material: Material, config: HeadConfig, report: Callable[[str], None]) -> Tuned:
    """Tune a head until the past's own next items are found no better by text alone."""
    sequences, past = material.histories.sequences, material.past
    targets = sampled(past.validation, material.catalogue.n_items, config.seed)

    def validate(vectors: np.ndarray) -> float:
        scorer = text_scorer(material.catalogue, sequences, past.train_end, vectors)
        return evaluate(scorer, sequences, targets).summary()["masked_ndcg_at_10"]

    return tune_head(material.vectors, material.pairs, config, validate, report)


def judge(material: Material, head: Head, seed: int) -> tuple[Gain, Gain]:
    """What it gains by text alone and beside counting, on the validation targets of the split."""
    sequences, split = material.histories.sequences, material.split
    targets = sampled(split.validation, material.catalogue.n_items, seed)
    span = (material.catalogue, sequences, split.train_end, targets)
    sides = (material.vectors, head.apply(material.vectors))
    return text_gain(*span, *sides), blend_gain(*span, *sides)


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
    material: Material,
    base: str,
    config: HeadConfig,
    minimum_pairs: int,
    arrays: Arrays,
    registry: Registry,
    run_id: str,
    threads: int,
    report: Callable[[str], None],
) -> tuple[dict[str, Any], Tuned | None]:
    """The row of the decision, and the course of the tuning where there was one."""
    pairs, through = len(material.pairs), material.histories.through
    least = max(minimum_pairs, config.batch)
    if pairs < least:
        reason = f"{pairs} pairs in the training period are fewer than {least}"
        return off(base, reason, pairs, through), None
    started, version = time.process_time(), material.version(base, config)
    with reproducible(config.seed, threads):
        tuned = tune(material, config, report)
        text, blend = judge(material, tuned.head, config.seed)
    promoted, reason = decide(text, blend)
    file = arrays.write(f"heads/{version}.npy", tuned.head.array)
    _register(registry, version, tuned, {"text": text, "blend": blend}, config, run_id)
    if promoted:
        registry.promote(version, reason)
    row = off(version, reason, pairs, through) | {
        "base": base,
        "outcome": "promoted" if promoted else "kept",
        "encoder": version if promoted else base,
        "steps": tuned.best_step,
        "head_file": file,
        "cpu_seconds": time.process_time() - started,
    }
    for name, gain in (("text", text), ("blend", blend)):
        row |= {
            f"{name}_ndcg_frozen": gain.frozen,
            f"{name}_ndcg_tuned": gain.tuned,
            f"{name}_gain_lower": gain.lower,
            f"{name}_gain_upper": gain.upper,
        }
    return row, tuned


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


def _register(
    registry: Registry,
    version: str,
    tuned: Tuned,
    gains: dict[str, Gain],
    config: HeadConfig,
    run_id: str,
) -> None:
    """Log the course and the numbers to MLflow, and the head as a version of the encoder."""
    if registry.has(version):
        return
    from safetensors.numpy import save_file

    with registry.run(version, run_id) as (client, mlflow_run):
        for name, value in config.model_dump().items():
            client.log_param(mlflow_run, name, value)
        for step, ndcg in tuned.curve:
            client.log_metric(mlflow_run, "past_text_ndcg_at_10", ndcg, step=step)
        for name, gain in gains.items():
            client.log_metric(mlflow_run, f"{name}_ndcg_at_10_frozen", gain.frozen)
            client.log_metric(mlflow_run, f"{name}_ndcg_at_10_tuned", gain.tuned)
        numbers = {"mean": tuned.head.mean, "matrix": tuned.head.matrix}
        registry.register_files(
            version, lambda folder: save_file(numbers, folder / "head.safetensors"), mlflow_run
        )
