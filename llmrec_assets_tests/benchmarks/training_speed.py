"""How near training comes to this processor's matrix products, and what ranking costs beside it.

    python -m llmrec_assets_tests.benchmarks.training_speed [FOLDER]

Without FOLDER the events are made up. One thread, CPU-seconds. The matrix products of a few steps,
forward and backward, are recorded with their shapes; plain products of the same shapes, timed in
the same run, are the limit. With FOLDER (events.csv, items.csv) also: ranking all users by the
network alone, against one epoch of training it.
"""

import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from llmrec_assets.core.config import ModelConfig
from llmrec_assets.core.networks.scoring import NetworkScorer
from llmrec_assets.core.ranking import evaluate
from llmrec_assets.core.sequences import Catalogue, Sequences
from llmrec_assets.core.splits import leave_one_out
from llmrec_assets.core.trainer import Trainer
from llmrec_assets.layout import Layout
from llmrec_assets_tests.benchmarks.cpu import cpu_seconds
from llmrec_assets_tests.benchmarks.preparation import prepared

_FACTORS = {"mm": 0, "bmm": 0, "addmm": 1, "addmm_": 1, "baddbmm": 1}  # where the first one stands
Shape = tuple[int, int, int, int]  # products at a time, rows, inner, columns


class Products(TorchDispatchMode):
    """Counts the matrix products that run, by shape."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: Counter[Shape] = Counter()

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Note the operation, then run it."""
        place = _FACTORS.get(func.overloadpacket.__name__)
        if place is not None:
            left, right = args[place], args[place + 1]
            batch = left.shape[0] if left.dim() == 3 else 1
            self.shapes[batch, left.shape[-2], left.shape[-1], right.shape[-1]] += 1
        return func(*args, **(kwargs or {}))

    def flops(self) -> int:
        """Multiplications and additions of all of them."""
        return sum(2 * int(np.prod(shape)) * times for shape, times in self.shapes.items())

    def seconds(self) -> float:
        """CPU-seconds of plain products of these shapes, as often as they ran."""
        return sum(times * _product(shape) for shape, times in self.shapes.items())


def _product(shape: Shape) -> float:
    batch, rows, inner, columns = shape
    left, right = torch.randn(batch, rows, inner), torch.randn(batch, inner, columns)
    if batch == 1:
        left, right = left[0], right[0]
    out = left @ right
    repeats = max(3, int(2e8 / np.prod(shape)))
    spent = cpu_seconds(lambda: [torch.matmul(left, right, out=out) for _ in range(repeats)])
    return spent / repeats


def made_up(
    n_users: int, length: int, n_items: int, dimensions: int = 0
) -> tuple[Sequences, Catalogue]:
    """Every item occurs; with `dimensions`, every item has a text."""
    rng = np.random.default_rng(0)
    items = (rng.permutation(n_users * length) % n_items + 1).astype(np.int32)
    n, texts = len(items), bool(dimensions)
    sequences = Sequences(
        offsets=np.arange(n_users + 1, dtype=np.int64) * length,
        items=items,
        behaviors=np.ones(n, dtype=np.int16),
        text_rows=items - 1 if texts else np.full(n, -1, np.int32),
        numeric=rng.normal(size=(n, 6)).astype(np.float32),
        times=np.tile(np.arange(length, dtype=np.int64), n_users),
        positive=np.ones(n, dtype=bool),
        weights=np.ones(n, dtype=np.float32),
    )
    rows = np.arange(-1, n_items) if texts else np.full(n_items + 1, -1)
    vectors = rng.normal(size=(n_items if texts else 0, dimensions or 1)).astype(np.float32)
    return sequences, Catalogue(n_items, rows.astype(np.int32), vectors, 1)


def few_steps(trainer: Trainer, sequences: Sequences, steps: int) -> int:
    """Let the next epochs be of about so many steps; the positions that they train."""
    length = int(sequences.offsets[1])
    users = min(sequences.n_users, max(1, steps * trainer.config.batch_events // (length - 1)))
    ends = np.where(np.arange(sequences.n_users) < users, sequences.offsets[1:], sequences.starts)
    trainer.ends = ends
    return users * (length - 1)


def speed(n_items: int = 10_000, steps: int = 20) -> None:
    """Print positions a second and the share of the limit."""
    sequences, catalogue = made_up(n_items // 10, 50, n_items, 128)
    trainer = Trainer(sequences, catalogue, ModelConfig(), sequences.offsets[1:])
    positions = few_steps(trainer, sequences, steps)
    trainer.run_epoch(1)
    spent = min(cpu_seconds(lambda: trainer.run_epoch(1)) for _ in range(3))
    with Products() as products:
        trainer.run_epoch(1)
    flops, limit = products.flops(), products.seconds()
    peak = 2 * 1024**3 / min(_product((1, 1024, 1024, 1024)) for _ in range(3))
    print(f"{n_items} items: {positions / spent:.0f} positions trained a CPU-second")
    print(
        f"{flops / spent / 1e9:.1f} GFLOP/s, {limit / spent:.2f} of plain products of the same"
        f" shapes ({flops / limit / 1e9:.1f}; of 1024 x 1024: {peak / 1e9:.1f})"
    )


def ranking(folder: Path) -> None:
    """Print what ranking for all users costs, as a share of an epoch."""
    with tempfile.TemporaryDirectory() as root:
        data = prepared(Layout(Path(root)), folder)
        split = leave_one_out(data.sequences)
        trainer = Trainer(data.sequences, data.catalogue, ModelConfig(), split.train_end)
        epoch = cpu_seconds(lambda: trainer.run_epoch(1))
        scorer = NetworkScorer(trainer.model)
        ranked = cpu_seconds(lambda: evaluate(scorer, data.sequences, split.test))
    print(
        f"ranking {data.sequences.n_users} users {ranked:.1f} CPU-s, {ranked / epoch:.2f} of"
        f" an epoch ({epoch:.1f})"
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.manual_seed(0)
    speed()
    if len(sys.argv) > 1:
        ranking(Path(sys.argv[1]))
