"""Anonymous memory of the flow over a log that is larger than it, phase by phase.

    python -m llmrec_assets_tests.benchmarks.memory_at_scale [--events 1e8] [--memory 2500MB]
        [--folder FOLDER] [--shards 1] [--steps 200]

A generated log goes from raw events to what a model reads, by DuckDB with a limit and room to
spill; then it is loaded, a network learns from some batches of it, and the experts count. Linux
tells how much of the process lies in no file (RssAnon). With a folder the tables stay there, and
the next call begins after the last one that is whole. Disk: about 200 bytes an event, and as much
again while it works.
"""

import argparse
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import numpy as np
import torch

from llmrec_assets.core.behaviors import DEFAULT_BEHAVIORS
from llmrec_assets.core.config import ModelConfig
from llmrec_assets.core.recommender import make_experts
from llmrec_assets.core.splits import leave_one_out
from llmrec_assets.core.trainer import Trainer
from llmrec_assets.resources.arrays import Arrays
from llmrec_assets.sql import s2_statistics, s2_words
from llmrec_assets.sql.s1_tables import RAW_ITEMS
from llmrec_assets.sql.shards import InPlace
from llmrec_assets.sql.training_data import TrainingData, load
from llmrec_assets_tests.benchmarks.generated_events import Shop, fill_raw, fill_raw_items
from llmrec_assets_tests.benchmarks.increments import steps_of

FILE = 10_000_000  # events of a file that comes in


class Watched:
    """The most anonymous memory that this process had at a time."""

    def __init__(self) -> None:
        self.most = 0
        threading.Thread(target=self._look, daemon=True).start()

    def _look(self) -> None:
        while True:
            self.most = max(self.most, anonymous())
            time.sleep(0.05)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Print what a phase took."""
        self.most, before = 0, time.process_time()
        yield
        most = max(self.most, anonymous())
        print(
            f"{name:<28}{time.process_time() - before:>10.0f} CPU-s{most / 2**30:>8.2f} GiB",
            flush=True,
        )


def anonymous() -> int:
    """Bytes of this process that lie in no file."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024
    raise OSError("this system does not tell RssAnon")


@contextmanager
def opened(folder: Path, memory: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """The store of the log, as the product opens it."""
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        connection.execute("set timezone = 'UTC'; set threads = 1")
        connection.execute("set memory_limit = ?", [memory])
        yield connection


def build(folder: Path, shop: Shop, memory: str, shards: int, watched: Watched) -> None:
    """Every table that is not there yet, each in a transaction of its own."""
    with opened(folder, memory) as connection, watched.phase("raw events"):
        if not RAW_ITEMS.is_there(connection):
            for first in range(1, shop.events + 1, FILE):
                part = {"first": first, "events": min(FILE, shop.events - first + 1)}
                fill_raw(connection, shop.log() | part)
            fill_raw_items(connection, shop)
    for step in steps_of(InPlace(shards)):
        with opened(folder, memory) as connection, watched.phase(step.table.name):
            if not step.table.is_there(connection):
                in_one_transaction(connection, step.build)


def in_one_transaction(
    connection: duckdb.DuckDBPyConnection, act: Callable[[duckdb.DuckDBPyConnection], object]
) -> None:
    """As an asset does it."""
    connection.begin()
    s2_words.register_words(connection, DEFAULT_BEHAVIORS, "en")
    act(connection)
    connection.commit()


def read(folder: Path, memory: str) -> TrainingData:
    """What a model reads, without vectors."""
    none = (np.zeros(0, np.int64), np.zeros(0, np.int32))
    arrays = Arrays(root=str(folder / "arrays"))
    with opened(folder, memory) as connection:
        version = s2_statistics.newest_statistics(connection)
        return load(
            connection, np.zeros((0, 4), np.float32), none, fit="evaluation",
            statistics_version=version, allocate=arrays.scratch,
        )  # fmt: skip


def main(shop: Shop, memory: str, folder: Path, shards: int, steps: int) -> None:
    """Print a line a phase."""
    torch.set_num_threads(1)
    watched = Watched()
    build(folder, shop, memory, shards, watched)
    with watched.phase("loading"):
        data = read(folder, memory)
    print(f"{len(data.sequences.items):,} clean events of {data.sequences.n_users:,} users,"
          f" {data.catalogue.n_items:,} items")  # fmt: skip
    with watched.phase("fingerprint"):
        print(f"fingerprint {data.fingerprint}")
    with watched.phase("split"):
        ends = leave_one_out(data.sequences).train_end
    config = ModelConfig.model_validate({"objective": "sampled_softmax"})
    with watched.phase(f"training, {steps} batches"):
        trainer = Trainer(data.sequences, data.catalogue, config, ends)
        users = np.searchsorted(data.sequences.offsets, steps * config.batch_events)
        trainer.ends = np.where(np.arange(len(ends)) < users, ends, data.sequences.starts)
        trainer.run_epoch(1)
    with watched.phase("experts"):
        make_experts(trainer.model, data.sequences, data.catalogue, ends)
    print(f"memory_limit of DuckDB {memory}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=lambda text: int(float(text)), default=100_000_000)
    parser.add_argument("--memory", default="2500MB", help="of DuckDB")
    parser.add_argument("--folder", type=Path, help="keep the tables here")
    parser.add_argument("--shards", type=int, default=1, help="of the users, one after the other")
    parser.add_argument("--steps", type=int, default=200, help="batches that are trained on")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        kept = given.folder or Path(root)
        kept.mkdir(parents=True, exist_ok=True)
        main(Shop(given.events), given.memory, kept, given.shards, given.steps)
