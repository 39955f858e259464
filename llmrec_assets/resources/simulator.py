"""Simulated loops: each is played in a process and a store of its own, and leaves records."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from llmrec_assets.layout import ROOT_VARIABLE, Layout

# What the loop is told beside its defaults: vectors of words, few epochs, short lists that explore
# a tenth, no waiting between works, since a week passes in seconds, and a gate for a shop so small
# that no interval excludes the loss of a tenth: the sign of the mean decides.
SETTINGS = {
    "LLMREC_ENCODER": "bag_of_words",
    "LLMREC_TOP_K": "10",
    "LLMREC_EXPLORATION": "0.1",
    "LLMREC_GLOBAL_TIME_SPLIT": "false",
    "LLMREC_TUNE_ENCODER": "off",
    "LLMREC_MAX_EPOCHS": "6",
    "LLMREC_GATE_TOLERANCE": "1",
    "LLMREC_GATE_USERS": "50",
    "LLMREC_COOLDOWN_LISTS": "0",
    "LLMREC_COOLDOWN_WARM_START": "0",
    "LLMREC_COOLDOWN_RETRAIN": "0",
    "LLMREC_COOLDOWN_ENCODER": "0",
    "OMP_NUM_THREADS": "1",
}
PARAMETER_NAMES = ("tuning", "held_out")
CYCLES = 8


@dataclass(frozen=True)
class Plan:
    """One simulation."""

    parameters: str  # one of PARAMETER_NAMES
    seed: int  # of the truth, the answers and the loop
    cycles: int = CYCLES
    poisoned: bool = False  # a bot farm's batch lands early on

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


class SimulationFailed(RuntimeError):
    """A simulated loop ended before its last cycle; the message says where its log is."""


class Simulator(dg.ConfigurableResource):
    """The simulated loops of one data root."""

    root: str = Field(description="The data root; the loops' own are below it.")

    def play(self, plan: Plan, report: Callable[[str], None]) -> list[dict[str, Any]]:
        """The records of a simulation, once it has all its cycles; it goes on where it ended.

        Raises:
            SimulationFailed: the process ended early.
        """
        layout = Layout(Path(self.root))
        store = plan.store(layout)
        if len(done := read_records(store)) >= plan.cycles:
            return done[: plan.cycles]
        store.root.mkdir(parents=True, exist_ok=True)
        log = store.root / "simulation.log"
        command = [sys.executable, "-m", "llmrec_assets.simulation", plan.parameters]
        command += [str(plan.seed), "--cycles", str(plan.cycles), *(["--poison"] * plan.poisoned)]
        environment = {**os.environ, ROOT_VARIABLE: self.root}
        report(f"{plan.name} from cycle {len(done)}; its log is {log}")
        with log.open("a", encoding="utf-8") as output:
            ended = subprocess.run(
                command, env=environment, stdout=output, stderr=subprocess.STDOUT, check=False
            )
        done = read_records(store)
        if ended.returncode or len(done) < plan.cycles:
            raise SimulationFailed(f"{plan.name} ended with {ended.returncode}: see {log}")
        return done
