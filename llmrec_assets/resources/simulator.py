"""What one simulation is, where its store lies, and what it has measured so far."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmrec_assets.layout import ROOT_VARIABLE, Layout

# What the loop is told beside its defaults: little texts, short lists that explore a tenth, and no
# waiting between works, since a week passes in seconds.
SETTINGS = {
    "LLMREC_ENCODER": "bag_of_words",
    "LLMREC_TOP_K": "10",
    "LLMREC_EXPLORATION": "0.1",
    "LLMREC_GLOBAL_TIME_SPLIT": "false",
    "LLMREC_TUNE_ENCODER": "off",
    "LLMREC_MAX_EPOCHS": "10",
    "LLMREC_COOLDOWN_LISTS": "0",
    "LLMREC_COOLDOWN_WARM_START": "0",
    "LLMREC_COOLDOWN_RETRAIN": "0",
    "LLMREC_COOLDOWN_ENCODER": "0",
    "OMP_NUM_THREADS": "1",
}
CYCLES = 8


@dataclass(frozen=True)
class Plan:
    """One simulation."""

    parameters: str  # a name in `drifting_shop.PARAMETERS`
    seed: int  # of the truth, the answers and the loop
    cycles: int = CYCLES
    poisoned: bool = False  # a bot farm's batch lands after the lists of `POISONED_CYCLE`

    @property
    def name(self) -> str:
        """Of its store."""
        return f"{self.parameters}-{self.seed}" + ("-poisoned" if self.poisoned else "")

    def store(self, layout: Layout) -> Layout:
        """A root of its own below the root of `layout`."""
        return Layout(layout.simulations / self.name)

    def environment(self, layout: Layout) -> dict[str, str]:
        """Of the process that plays it: the caller's settings, then its own."""
        own = {ROOT_VARIABLE: str(self.store(layout).root), "LLMREC_SEED": str(self.seed)}
        return {**SETTINGS, **os.environ, **own, "DAGSTER_HOME": ""}


def read_records(store: Layout) -> list[dict[str, Any]]:
    """What was measured, a dictionary a cycle, in order."""
    path = records_of(store)
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def records_of(store: Layout) -> Path:
    """The file of the records of a store."""
    return store.root / "cycles.jsonl"
