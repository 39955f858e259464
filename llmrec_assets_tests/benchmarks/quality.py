"""How good the served ranking is, what each part adds, and how sure that is.

    python -m llmrec_assets_tests.benchmarks.quality FOLDER [--events FILE] [--k-core N]
        [--seeds N] [--encoder NAME] [--ablate [PART ...]]

FOLDER holds events.csv and items.csv. Protocol: each user's last event is the test target, the one
before it the validation target, nothing is fitted on either; all items are ranked, those of the
history left out ("masked") and not. Prints NDCG@10 and Recall@10 of every scorer, the mean over
seeds with its spread, CPU-seconds, and the 95 % interval of the served ranking's masked NDCG@10
less that of each other scorer. With --ablate, also the served ranking without each part, or without
those named. What LLMREC_HISTORY_TEXTS and other settings add is measured with them set.
"""

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from llmrec_assets.core.baselines import DecayedMarkov, Popularity
from llmrec_assets.core.config import ModelConfig
from llmrec_assets.core.intervals import mean_intervals
from llmrec_assets.core.item_clock import ItemClock
from llmrec_assets.core.metrics import ndcg
from llmrec_assets.core.ranking import Scorer, evaluate
from llmrec_assets.core.recommender import Experts, Recommender, fit_weights, make_experts
from llmrec_assets.core.splits import Split, leave_one_out
from llmrec_assets.core.training import fit
from llmrec_assets.layout import Layout
from llmrec_assets.sql.training_data import TrainingData
from llmrec_assets_tests.benchmarks.preparation import folder_parser, prepared

SHOWN = ("masked_ndcg_at_10", "masked_recall_at_10", "ndcg_at_10", "recall_at_10")


class Table:
    """Scores by scorer and seed."""

    def __init__(self, data: TrainingData, split: Split) -> None:
        self.data, self.split = data, split
        self.scores: dict[str, list[list[float]]] = defaultdict(list)
        self.gains: dict[str, np.ndarray] = {}

    def add(self, name: str, scorer: Scorer, cpu: float) -> None:
        """Evaluate on the test targets; `cpu` is what fitting took."""
        started = time.process_time()
        evaluation = evaluate(scorer, self.data.sequences, self.split.test)
        scored, summary = time.process_time() - started, evaluation.summary()
        self.scores[name].append([*(summary[metric] for metric in SHOWN), cpu, scored])
        self.gains[name] = np.asarray(ndcg(evaluation.masked_ranks, 10))
        print(f"{name}: {summary[SHOWN[0]]:.4f}", file=sys.stderr, flush=True)

    def show(self, chosen: str) -> None:
        """Print mean and spread over seeds, and the last seed's lead of `chosen`, an interval."""
        print(f"{len(self.gains[chosen])} users, {self.data.catalogue.n_items} items")
        print(f"{'':<32}{'  '.join(SHOWN)}  CPU-s to fit, to rank for all; {chosen} less this")
        for name, rows in self.scores.items():
            mean, spread = np.mean(rows, 0), np.std(rows, 0)
            figures = "  ".join(
                f"{m:.4f} ± {s:.4f}" for m, s in zip(mean[:4], spread[:4], strict=True)
            )
            less = mean_intervals((self.gains[chosen] - self.gains[name])[:, None])[0]
            interval = f"{less[0]:+.4f} [{less[1]:+.4f}, {less[2]:+.4f}]"
            print(f"{name:<32}{figures}  {mean[4]:.0f}, {mean[5]:.0f}; {interval}")


def timed(make: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    """What `make` returns, and its CPU-seconds."""
    started = time.process_time()
    result = make(*arguments)
    return result, time.process_time() - started


def without(experts: Experts, name: str) -> Experts:
    """The experts without one, or without what was known of items at a moment."""
    if name == "clock":
        return replace(experts, clock=_Stopped(experts.clock))
    prior = {key: expert for key, expert in experts.prior.items() if key != name}
    further = {key: expert for key, expert in experts.further.items() if key != name}
    return replace(experts, prior=prior, further=further)


class _Stopped(ItemClock):
    """A clock that knows nothing."""

    def __init__(self, clock: ItemClock) -> None:
        vars(self).update(vars(clock), relative=True)


def main(arguments: argparse.Namespace) -> None:
    """Fit and evaluate for every seed, then print the table."""
    with tempfile.TemporaryDirectory() as root:
        chosen = (arguments.folder, arguments.events, arguments.k_core, arguments.encoder)
        data = prepared(Layout(Path(root)), *chosen)
        sequences, catalogue, split = data.sequences, data.catalogue, leave_one_out(data.sequences)
        table, span = Table(data, split), (sequences, catalogue.n_items, split.train_end)
        for name, kind in (("popularity", Popularity), ("decayed_markov", DecayedMarkov)):
            table.add(name, *timed(kind, *span))
        for seed in range(arguments.seeds):
            config = ModelConfig(seed=seed)
            fitted, training = timed(fit, sequences, catalogue, config, split.train_end, split)
            experts, counting = timed(
                make_experts, fitted.model, sequences, catalogue, split.train_end
            )
            weights, weighing = timed(fit_weights, experts, sequences, split.validation, seed)
            if seed == 0:
                for name, expert in experts.all.items():
                    if name not in ("network", "decayed_markov"):
                        table.add(name, expert, counting)
            table.add("network", experts.prior["network"], training)
            total = training + counting + weighing
            table.add("not reranked", Recommender(experts, weights.powers, None), total)
            table.add("served", weights.recommender(experts), total)
            print(f"seed {seed}: powers {weights.powers}", file=sys.stderr)
        if arguments.ablate is not None:
            for name in arguments.ablate or (*experts.all, "clock"):
                fewer = without(experts, name)
                weights, weighing = timed(fit_weights, fewer, sequences, split.validation, seed)
                table.add(f"served without {name}", weights.recommender(fewer), weighing)
        table.show("served")


if __name__ == "__main__":
    parser = folder_parser(__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--encoder", help="as in LLMREC_ENCODER")
    parser.add_argument("--ablate", nargs="*", metavar="PART")
    main(parser.parse_args())
