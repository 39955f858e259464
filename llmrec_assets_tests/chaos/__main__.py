"""Random seeded faults on a tiny store; after each recovery it equals one that nothing befell.

    python -m llmrec_assets_tests.chaos --rounds 200 --seed 0 --folder FOLDER

A round delivers new files to two stores. One runs in peace; the other is killed, damaged, left
without room or permission, or run twice at once, at a point that the seed draws, and runs again as
its user would. Then no event is lost or doubled, every table equals the other store's, one champion
serves and what is published is whole and its own; damage that no run can mend was found before use
by an error that names the file and the remedy. A finished round is a line of FOLDER/rounds.jsonl:
the same command goes on where it was cut short. Exit status 1 when a round failed.

The disk is a small tmpfs where this runs as root, else a limit to the size of a file.
"""

import argparse
import json
import random
import shutil
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

from llmrec_assets.layout import Layout
from llmrec_assets_tests.chaos import batches, checks, damage, faults
from llmrec_assets_tests.chaos.runs import Commands, counts_of
from llmrec_assets_tests.chaos.scene import Scene, Told

FAULTS = {fault.__name__: fault for fault in (*faults.FAULTS, *damage.FAULTS)}
# How often each is drawn: kills and damage have many points.
WEIGHTS = {"kill_in_step": 4, "kill_at_point": 5, "damage_file": 6}
JUDGED = "  champion_model …"
LIFE = 20  # rounds until both stores begin anew, so that rounds stay short


class Chaos:
    """The rounds of one seed in one folder."""

    def __init__(self, folder: Path, seed: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.seed, self.commands = folder, seed, Commands(folder)
        self.ledger = folder / "rounds.jsonl"

    def done(self) -> list[dict]:
        """The finished rounds."""
        if not self.ledger.is_file():
            return []
        return [json.loads(line) for line in self.ledger.read_text("utf-8").splitlines()]

    def play(self, number: int, names: list[str]) -> dict:
        """One round, and its line."""
        started, life = time.monotonic(), self.folder / f"life-{number // LIFE:03}"
        self._begin(life)
        chance = random.Random(f"{self.seed}/{number}")
        name = chance.choices(names, [WEIGHTS.get(name, 2) for name in names])[0]
        try:
            told = self._round(life, number % LIFE, name, chance)
        except Exception:  # a harness that cannot look is a failed round as well
            told = Told("?", wrong=[traceback.format_exc()[-1500:]])
        row = {
            "round": number, "fault": name, "what": told.what, "ended": told.ended,
            "detected": told.detected, "wrong": told.wrong,
            "seconds": round(time.monotonic() - started, 1),
        }  # fmt: skip
        with self.ledger.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        if told.wrong:
            self._keep(life, number)
        return row

    def _begin(self, life: Path) -> None:
        """Make a new pair of stores, and forget the pair before."""
        faults.leave(life / "store")
        for old in self.folder.glob("life-*"):
            if old != life:
                shutil.rmtree(old)
        life.mkdir(exist_ok=True)

    def _round(self, life: Path, number: int, name: str, chance: random.Random) -> Told:
        layout, calm = Layout(life / "store"), Layout(life / "calm")
        lists = calm.recommendations if calm.recommendations.is_file() else None
        batch = batches.make(life / f"batch-{number:03}", self.seed, number, lists)
        runs, points, durations = 1 + batch.has_feedback, {}, {}
        for store in (layout, calm):
            batch.deliver(store)
        for _ in range(runs):
            outcome = self.commands.run(calm, "peace", "full_loop")
            if not outcome.well:
                return Told("?", wrong=[f"the undisturbed run failed: {outcome.said[-800:]}"])
            if not points:
                points, durations = counts_of(calm), outcome.durations
        scene = Scene(
            layout, calm, self.commands, chance, points, durations, batch.folder,
            batch.has_feedback,
        )  # fmt: skip
        told = FAULTS[name](scene)
        if any(JUDGED in outcome.said for outcome in told.outcomes):
            runs += 1  # who serves now is judged once more as the champion, then nothing changes
            self.commands.run(calm, "peace", "full_loop")
        for _ in range(runs):
            outcome = self.commands.run(layout, "run")
            if not outcome.well:
                told.wrong.append(f"no recovery: {outcome.said[-800:]}")
                return told
        folders = sorted(life.glob("batch-*"))
        told.wrong += checks.lost_or_doubled(layout, folders)[:5]
        told.wrong += checks.unlike(layout, calm, told.same_history)[:5]
        told.wrong += checks.half_published(layout)
        left = checks.leftovers(layout) - checks.leftovers(calm)
        told.wrong += [f"left behind: {sorted(left)[:3]}"] if left else []
        if not told.same_history:
            self._begin_alike(layout, calm)
        return told

    def _begin_alike(self, layout: Layout, calm: Layout) -> None:
        shutil.rmtree(calm.root)
        shutil.copytree(layout.root, calm.root)

    def _keep(self, life: Path, number: int) -> None:
        """Keep what a failed round left, and let both stores begin alike again."""
        kept = self.folder / f"failed-{number:03}"
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(life, kept, ignore=shutil.ignore_patterns("batch-*"))
        shutil.rmtree(life)


def table(rows: list[dict]) -> str:
    """Fault × outcome."""
    counts: dict[str, Counter] = {}
    for row in rows:
        counts.setdefault(row["fault"], Counter()).update(
            rounds=1, recovered=not row["wrong"], detected=bool(row["detected"]),
            failed=bool(row["wrong"]),
        )  # fmt: skip
    lines = [f"{'fault':20}{'rounds':>8}{'recovered':>11}{'detected':>10}{'failed':>8}"]
    for fault, n in [*sorted(counts.items()), ("all", sum(counts.values(), Counter()))]:
        lines.append(
            f"{fault:20}{n['rounds']:8}{n['recovered']:11}{n['detected']:10}{n['failed']:8}"
        )
    return "\n".join(lines)


def main(arguments: argparse.Namespace) -> int:
    """Play the rounds that are not done yet; how many of all failed."""
    chaos = Chaos(Path(arguments.folder).resolve(), arguments.seed)
    for number in range(len(chaos.done()), arguments.rounds):
        print(json.dumps(chaos.play(number, arguments.fault or list(FAULTS))), flush=True)
    rows = chaos.done()[: arguments.rounds]
    print(table(rows))
    return sum(bool(row["wrong"]) for row in rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", required=True)
    parser.add_argument("--fault", action="append", choices=list(FAULTS))
    sys.exit(min(main(parser.parse_args()), 1))
