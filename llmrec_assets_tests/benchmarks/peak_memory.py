"""Peak memory of training and of ranking by catalogue size, beside what is estimated for them.

    python -m llmrec_assets_tests.benchmarks.peak_memory [ITEMS ...]

ITEMS are 10000, 100000 and 1000000 when not given. Each figure is of a process of its own: the peak
resident size, less what it was when the libraries were loaded. Events are made up, ten a user, an
event an item. A few steps are trained and a few users ranked: more change nothing but the time.
"""

import json
import resource
import subprocess
import sys
from typing import Any

import numpy as np
import torch

from llmrec_assets.core.blocks import rows_of
from llmrec_assets.core.config import ModelConfig
from llmrec_assets.core.memory import ranking_memory, training_memory
from llmrec_assets.core.recommender import fit_weights, make_experts
from llmrec_assets.core.splits import leave_one_out
from llmrec_assets.core.trainer import Trainer
from llmrec_assets_tests.benchmarks.training_speed import few_steps, made_up

SIZES = (10_000, 100_000, 1_000_000)
PHASES = ("softmax", "sampled_softmax", "weights and ranking")


def peak() -> int:
    """Bytes that were resident at most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure(n_items: int, phase: str) -> dict[str, Any]:
    """Estimated and measured bytes of one phase, in this process."""
    torch.set_num_threads(1)
    torch.randn(64, 64) @ torch.randn(64, 64)  # whatever the first product loads
    before = peak()
    sequences, catalogue = made_up(n_items // 10, 10, n_items)
    objective = phase if phase in PHASES[:2] else "softmax"
    config = ModelConfig.model_validate({"objective": objective})
    split, few = leave_one_out(sequences), np.full(sequences.n_users, -1)
    users = np.arange(min(sequences.n_users, 2 * rows_of(n_items)))  # two blocks
    few[users] = split.validation[users]
    trainer = Trainer(sequences, catalogue, config, sequences.offsets[1:])
    if phase in PHASES[:2]:
        few_steps(trainer, sequences, 3)
        trainer.run_epoch(1)
        trainer.validate(few)
        best = {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}
        trainer.model.load_state_dict(best)
        estimated = training_memory(config, sequences, catalogue)
    else:
        experts = make_experts(trainer.model, sequences, catalogue, split.train_end)
        recommender = fit_weights(experts, sequences, few, seed=0).recommender(experts)
        recommender.logits(sequences, split.test[users], users)
        estimated = ranking_memory(config, sequences, catalogue, len(users))
    return {"estimated": estimated, "measured": peak() - before}


def main(sizes: list[int]) -> None:
    """Print a row for each size and phase."""
    print(f"{'items':>9}  {'':<20}  estimated  measured MB")
    for n_items in sizes:
        for phase in PHASES:
            command = [sys.executable, "-m", __spec__.name, "--one", str(n_items), phase]
            printed = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
            found = json.loads(printed)
            estimated, measured = (found[name] / 1e6 for name in ("estimated", "measured"))
            print(f"{n_items:>9}  {phase:<20}  {estimated:>9.0f}  {measured:>8.0f}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure(int(sys.argv[2]), sys.argv[3])))
    else:
        main([int(size) for size in sys.argv[1:]] or list(SIZES))
