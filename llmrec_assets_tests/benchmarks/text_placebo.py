"""Is the text used? Validation NDCG@10 with the items' own texts and with them dealt out anew.

    python -m llmrec_assets_tests.benchmarks.text_placebo FOLDER [SEEDS]

FOLDER holds events.csv and items.csv. Steps take the text of their item, so that both sides differ
in nothing but which item a text belongs to.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from llmrec_assets.core.config import ModelConfig
from llmrec_assets.core.splits import leave_one_out
from llmrec_assets.core.training import fit
from llmrec_assets.layout import Layout
from llmrec_assets.sql.training_data import TrainingData
from llmrec_assets_tests.benchmarks.preparation import prepared


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
