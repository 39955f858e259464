"""What a fault finds when it comes, and what it tells of itself."""

import random
from dataclasses import dataclass, field
from pathlib import Path

from llmrec_assets.layout import Layout
from llmrec_assets_tests.chaos.runs import Commands, Outcome


@dataclass
class Scene:
    """A store whose landing zone has just been given a batch, and what a run in peace showed."""

    layout: Layout
    commands: Commands
    chance: random.Random
    points: dict[str, int]  # kind → how often the undisturbed run came to it
    durations: dict[str, float]  # step → seconds of the undisturbed run
    growth: int  # bytes by which the undisturbed run made the store larger
    batch: Path


@dataclass
class Told:
    """What a fault did, and what the store made of it."""

    what: str
    outcomes: list[Outcome] = field(default_factory=list)  # of disturbed commands
    detected: str = ""  # by whom damage was found before anything was made of it
    wrong: list[str] = field(default_factory=list)
    longer: tuple[str, ...] = ()  # tables that rightly have rows besides those of a run in peace
    same_history: bool = True  # False: the remedy leaves other model versions behind

    @property
    def ended(self) -> str:
        """How the disturbed commands ended."""
        words = {0: "done", 1: "refused"}
        return ", ".join(words.get(o.code, "killed") for o in self.outcomes)
