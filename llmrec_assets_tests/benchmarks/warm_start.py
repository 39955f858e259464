"""What a warm start costs and is worth, against a fresh one on the same events.

    python -m llmrec_assets_tests.benchmarks.warm_start FOLDER [--k-core N] [--known SHARE]

FOLDER holds events.csv and items.csv. A champion is trained on the oldest SHARE of all events
(default 0.8), each user's last two of them held out. Then the network is trained on all events,
once from nothing and once from the champion's weights, and both are judged on each user's last two
events of now. Prints masked NDCG@10 over all items, epochs and CPU-seconds of training, and what
the fresh fit had spent when its validation was as good as the best of the warm one.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from llmrec_assets.core.config import ModelConfig
from llmrec_assets.core.networks.model import NextItemModel
from llmrec_assets.core.networks.scoring import NetworkScorer
from llmrec_assets.core.ranking import evaluate
from llmrec_assets.core.sequences import Sequences
from llmrec_assets.core.splits import Split, leave_one_out
from llmrec_assets.core.training import EpochReport, fit
from llmrec_assets.core.warm_start import shortened
from llmrec_assets.layout import Layout
from llmrec_assets.sql.training_data import TrainingData
from llmrec_assets_tests.benchmarks.preparation import prepared


def before(sequences: Sequences, share: float) -> Sequences:
    """The events before the time at which `share` of all have happened."""
    cut = np.quantile(sequences.times, share, method="lower")
    kept = sequences.times < cut
    columns = {
        name: values[kept]
        for name, values in vars(sequences).items()
        if isinstance(values, np.ndarray) and len(values) == len(kept) and name != "offsets"
    }
    running = np.concatenate([[0], np.cumsum(kept)])
    return replace(sequences, offsets=running[sequences.offsets], **columns)


class Course:
    """A training: its curve, the CPU-seconds after every epoch, and its model."""

    def __init__(
        self,
        name: str,
        data: TrainingData,
        sequences: Sequences,
        config: ModelConfig,
        start: NextItemModel | None = None,
    ) -> None:
        self.name, self.curve = name, list[EpochReport]()
        self.spent, started = list[float](), time.process_time()

        def report(epoch: EpochReport) -> None:
            self.curve.append(epoch)
            self.spent.append(time.process_time() - started)
            print(name, epoch, f"{self.spent[-1]:.0f} CPU-s", file=sys.stderr, flush=True)

        split = leave_one_out(sequences)
        span = (sequences, data.catalogue, config, split.train_end)
        self.fitted = fit(*span, split=split, report=report, start=start)

    @property
    def best(self) -> float:
        """Its best validation NDCG@10."""
        return max(epoch.validation_ndcg or 0.0 for epoch in self.curve)

    def reaches(self, quality: float) -> str:
        """After how many epochs and CPU-seconds its validation was as good."""
        for epoch, spent in zip(self.curve, self.spent, strict=True):
            if (epoch.validation_ndcg or 0.0) >= quality:
                return f"{epoch.epoch} epochs, {spent:.0f} CPU-s"
        return f"never in {len(self.curve)} epochs, {self.spent[-1]:.0f} CPU-s"


def shown(name: str, model: NextItemModel, data: TrainingData, split: Split, cost: str) -> None:
    """Print a line about a network."""
    scores = [
        evaluate(NetworkScorer(model), data.sequences, targets).summary()["masked_ndcg_at_10"]
        for targets in (split.validation, split.test)
    ]
    print(f"{name:<28}validation {scores[0]:.4f}  test {scores[1]:.4f}  {cost}", flush=True)


def main(arguments: argparse.Namespace) -> None:
    """Train the champion, then both challengers, and print what they came to."""
    with tempfile.TemporaryDirectory() as root:
        data = prepared(Layout(Path(root)), arguments.folder, k_core=arguments.k_core)
        config, split = ModelConfig(seed=arguments.seed), leave_one_out(data.sequences)
        older = before(data.sequences, arguments.known)
        n, now = len(older.items), len(data.sequences.items)
        new = int(((champion_counts := np.bincount(older.items, minlength=1)) == 0).sum())
        print(f"{n} of {now} events known, {new - 1} of {len(champion_counts) - 1} items unseen")
        champion = Course("champion", data, older, config)
        fresh = Course("fresh", data, data.sequences, config)
        warm = Course("warm", data, data.sequences, shortened(config), champion.fitted.model)
        shown("champion as it is", champion.fitted.model, data, split, "0 epochs")
        for course in (fresh, warm):
            cost = f"{len(course.curve)} epochs, {course.spent[-1]:.0f} CPU-s"
            shown(f"{course.name} start", course.fitted.model, data, split, cost)
        print(f"fresh, until as good as warm: {fresh.reaches(warm.best)}")
        print(f"warm, until as good as fresh: {warm.reaches(fresh.best)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--k-core", type=int, default=0)
    parser.add_argument("--known", type=float, default=0.8)
    parser.add_argument("--seed", type=int, default=0)
    main(parser.parse_args())
