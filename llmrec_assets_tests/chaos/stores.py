"""The stores of a delivery: those it found, the disturbed one, and the undisturbed after each run.

Several faults befall copies of the same store with the same new files, so that the undisturbed runs
are made once for all of them. Every copy is put in place whole: a killed harness goes on with it.
"""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from llmrec_assets.layout import Layout
from llmrec_assets_tests.chaos import batches
from llmrec_assets_tests.chaos.batches import Batch
from llmrec_assets_tests.chaos.child import counts_of, temporary
from llmrec_assets_tests.chaos.runs import Commands


class NoPeace(Exception):
    """An undisturbed run failed."""


@dataclass(frozen=True)
class Stores:
    """Below `life`: both stores where they run, copies beside them, and all batches."""

    life: Path
    number: int  # of the delivery in this life

    @property
    def layout(self) -> Layout:
        """Of the store that faults befall."""
        return Layout(self.life / "store")

    @property
    def calm(self) -> Layout:
        """Of the store that nothing befalls, where it runs."""
        return Layout(self.life / "calm")

    @property
    def _before(self) -> Path:
        return self.life / f"before-{self.number:03}"

    @property
    def _seen(self) -> Path:
        return self.life / "seen.json"

    def peaceful(self, runs: int) -> Layout:
        """Of the copy of the undisturbed store after so many runs since the delivery."""
        return Layout(self.life / f"peace-{self.number:03}-{runs}")

    def begin(self, seed: int) -> Batch:
        """Put both stores in place as they were before the delivery, and deliver to them."""
        self.life.mkdir(parents=True, exist_ok=True)
        for old in (*self.life.glob("before-*"), *self.life.glob("peace-*")):
            if f"-{self.number:03}" not in old.name:
                shutil.rmtree(old)
        published = Layout(self._before / "calm").recommendations
        lists = published if published.is_file() else None
        batch = batches.make(self.life / f"batch-{self.number:03}", seed, self.number, lists)
        shutil.rmtree(temporary(self.layout), ignore_errors=True)
        _put(self._before / "store", self.layout.root)
        batch.deliver(self.layout)
        return batch

    def let_a_minute_pass(self) -> None:
        """A temporary folder that a killed command had no time to lock counts as left now."""
        for path in temporary(self.layout).glob(".*"):
            os.utime(path, (0, 0))

    def let_run(self, runs: int, batch: Batch, commands: Commands) -> Layout:
        """The undisturbed store after so many runs, made at most once.

        Raises:
            NoPeace: one of them failed.
        """
        copy = self.peaceful(runs)
        if copy.root.exists():
            return copy
        if runs == 1:
            _put(self._before / "calm", self.calm.root)
            batch.deliver(self.calm)
        else:
            _put(self.let_run(runs - 1, batch, commands).root, self.calm.root)
        outcome = commands.run(self.calm, "peace", "full_loop")
        if not outcome.well:
            raise NoPeace(outcome.said[-800:])
        if runs == 1:
            growth = _size(self.calm.root) - _size(self._before / "calm")
            seen = (counts_of(self.calm), outcome.durations, growth)
            self._seen.write_text(json.dumps(seen), encoding="utf-8")
        _put(self.calm.root, copy.root)
        return copy

    def seen(self) -> tuple[dict[str, int], dict[str, float], int]:
        """Of the first undisturbed run.

        Returns:
            (kind of point → how often it came to it, step → its seconds, bytes that it added).
        """
        points, durations, growth = json.loads(self._seen.read_text(encoding="utf-8"))
        return points, durations, growth

    @property
    def is_new(self) -> bool:
        """Whether the delivery finds nothing."""
        return not self._before.exists()

    def hand_on(self, calm: Layout) -> None:
        """The next delivery finds the store, and the undisturbed one in `calm`."""
        following, partial = Stores(self.life, self.number + 1)._before, self.life / ".before"
        for old in (following, partial):
            shutil.rmtree(old, ignore_errors=True)
        shutil.copytree(self.layout.root, partial / "store")
        shutil.copytree(calm.root, partial / "calm")
        partial.rename(following)

    def give_up(self) -> None:
        """Both stores go on alike, as the undisturbed one was after the first run."""
        if (calm := self.peaceful(1)).root.exists():
            _put(calm.root, self.layout.root)
            self.hand_on(calm)


def _size(root: Path) -> int:
    return sum(path.stat().st_size for path in root.rglob("*") if path.is_file())


def _put(source: Path, target: Path) -> None:
    """Make `target` a copy of `source`, or remove it where there is none."""
    partial = target.with_name(f".{target.name}")
    for old in (partial, target):
        shutil.rmtree(old, ignore_errors=True)
    if source.exists():
        shutil.copytree(source, partial)
        partial.rename(target)
