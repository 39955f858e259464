"""CPU-seconds to the test NDCG@10 of a public SASRec, against RecBole's own to get there.

    python -m llmrec_assets_tests.benchmarks.time_to_quality BEAUTY_FOLDER [BATCHES]

BEAUTY_FOLDER holds events.csv and items.csv of Amazon Beauty (2014, 5-core). The target is
unmasked NDCG@10 of .0421 over all items, the test result of RecBole's SASRec after 44 epochs, best
at the 33rd (github.com/kanishkaRandunu/pswrec2k26, results/runs/beauty). RecBole 1.2.1 is installed
in an environment of its own and timed on BATCHES (default 40) training batches of the same events;
33 epochs are extrapolated from them. Both sides use one thread. Looking at the test score after
every epoch is not counted: it only finds when the target is reached.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from llmrec_assets.core.config import ModelConfig
from llmrec_assets.core.networks.scoring import NetworkScorer
from llmrec_assets.core.ranking import Scorer, evaluate
from llmrec_assets.core.recommender import fit_weights, make_experts
from llmrec_assets.core.splits import Split, leave_one_out
from llmrec_assets.core.trainer import Trainer
from llmrec_assets.layout import Layout
from llmrec_assets.sql.training_data import TrainingData
from llmrec_assets_tests.benchmarks.preparation import prepared

TARGET, PEER_EPOCHS = 0.0421, 33
PEER = ("recbole==1.2.1", "numpy==1.26.4", "pandas==2.1.4", "scipy==1.11.4", "torch==2.13.0",
        "ray==2.6.3", "thop", "setuptools")  # fmt: skip


def unmasked(scorer: Scorer, data: TrainingData, split: Split) -> float:
    """Test NDCG@10 with all items as candidates."""
    return evaluate(scorer, data.sequences, split.test).summary()["ndcg_at_10"]


def system(data: TrainingData, split: Split) -> tuple[float, float]:
    """(CPU-seconds, NDCG@10) of everything that needs no network, weights learnt."""
    started = time.process_time()
    experts = make_experts(None, data.sequences, data.catalogue, split.train_end)
    weights = fit_weights(experts, data.sequences, split.validation, seed=0)
    spent = time.process_time() - started
    return spent, unmasked(weights.recommender(experts), data, split)


def network(data: TrainingData, split: Split) -> tuple[float, float, int]:
    """(CPU-seconds, NDCG@10, epochs) of the network alone when it reaches the target, or ends."""
    config, spent, reached = ModelConfig(), 0.0, 0.0
    torch.manual_seed(config.seed)
    trainer = Trainer(data.sequences, data.catalogue, config, split.train_end)
    for epoch in range(1, config.max_epochs + 1):
        started = time.process_time()
        trainer.run_epoch(epoch)
        spent += time.process_time() - started
        reached = unmasked(NetworkScorer(trainer.model), data, split)
        print(f"epoch {epoch}: {spent:.0f} CPU-s, {reached:.4f}", file=sys.stderr, flush=True)
        if reached >= TARGET:
            return spent, reached, epoch
    return spent, reached, config.max_epochs


def peer(events: Path, batches: int) -> float:
    """CPU-seconds of RecBole's epoch."""
    with tempfile.TemporaryDirectory() as folder:
        python = os.environ.get("RECBOLE_PYTHON") or str(Path(folder) / "bin" / "python")
        if "RECBOLE_PYTHON" not in os.environ:
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            subprocess.run([python, "-m", "pip", "install", "-q", *PEER], check=True)
        script = Path(__file__).with_name("recbole_epoch.py")
        command = [python, str(script), str(events), str(batches)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        printed = subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE)
    return float(json.loads(printed.stdout.splitlines()[-1])["cpu_s_per_epoch"])


def main(folder: Path, batches: int) -> None:
    """Print both sides and their ratio."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as root:
        data = prepared(Layout(Path(root)), folder)
    split = leave_one_out(data.sequences)
    epoch = peer(folder / "events.csv", batches)
    theirs = epoch * PEER_EPOCHS
    print(f"RecBole SASRec     {epoch:.0f} CPU-s an epoch, {theirs:.0f} for {PEER_EPOCHS} epochs")
    spent, reached = system(data, split)
    print(f"without network    {spent:.0f} CPU-s to {reached:.4f}: {theirs / spent:.0f} times less")
    spent, reached, epochs = network(data, split)
    times = f"{theirs / spent:.0f} times less" if reached >= TARGET else "target not reached"
    print(f"network alone      {spent:.0f} CPU-s ({epochs} epochs) to {reached:.4f}: {times}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 40)
