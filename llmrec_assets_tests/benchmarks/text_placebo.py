"""Is the text used? Validation NDCG@10 with the items' own texts and with them dealt out anew.

    python -m llmrec_assets_tests.benchmarks.text_placebo FOLDER [SEEDS]

FOLDER holds events.csv and items.csv. Steps take the text of their item, so that both sides differ
in nothing but which item a text belongs to.
"""

import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import dagster as dg
import numpy as np

from llmrec_assets.assets import model_steps
from llmrec_assets.core.config import ModelConfig
from llmrec_assets.core.splits import leave_one_out
from llmrec_assets.core.training import fit
from llmrec_assets.definitions import defs
from llmrec_assets.layout import Layout
from llmrec_assets.resources.wiring import resources_of
from llmrec_assets.sql.training_data import TrainingData


def prepared(layout: Layout, folder: Path) -> TrainingData:
    """Materialise everything up to the fused features; the data of the evaluation fit."""
    for source, target in (("events", layout.landing_events), ("items", layout.landing_items)):
        target.mkdir(parents=True)
        shutil.copy(folder / f"{source}.csv", target)
    resources = resources_of(layout)
    selection = dg.AssetSelection.assets("fused_features").upstream()
    job = dg.define_asset_job("prepare", selection)
    prepare = dg.Definitions(
        assets=defs.assets, asset_checks=defs.asset_checks, jobs=[job], resources=resources
    )
    assert prepare.resolve_job_def("prepare").execute_in_process().success
    inputs = model_steps.read_inputs(
        resources["warehouse"], resources["arrays"], "z-score", ("evaluation",)
    )
    return inputs.data["evaluation"]


def with_item_texts(data: TrainingData, shuffle: np.random.Generator | None) -> TrainingData:
    """Steps read the text of their item; with `shuffle`, items that have a text swap texts."""
    rows = data.catalogue.text_rows.copy()
    holders = np.flatnonzero(rows >= 0)
    if shuffle is not None:
        rows[holders] = shuffle.permutation(rows[holders])
    sequences = replace(data.sequences, text_rows=rows[data.sequences.items])
    return replace(data, sequences=sequences, catalogue=replace(data.catalogue, text_rows=rows))


def main(folder: Path, seeds: int) -> None:
    """Print both figures for every seed."""
    with tempfile.TemporaryDirectory() as root:
        data = prepared(Layout(Path(root)), folder)
        for seed in range(seeds):
            scores = []
            for shuffle in (None, np.random.default_rng(seed)):
                side = with_item_texts(data, shuffle)
                split, config = leave_one_out(side.sequences), ModelConfig(seed=seed)
                fitted = fit(side.sequences, side.catalogue, config, split.train_end, split)
                scores.append(fitted.learning_curve[fitted.best_epoch - 1].validation_ndcg)
            print(f"seed {seed}: own texts {scores[0]:.4f}, shuffled texts {scores[1]:.4f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1)
