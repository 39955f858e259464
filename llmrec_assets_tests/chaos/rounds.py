"""One round: a delivery, a fault at a point that the seed draws, the recovery, and what must hold.

A row of what happened is added to the ledger, so that the same command goes on where it was cut.
"""

import json
import random
import shutil
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from llmrec_assets.layout import Layout
from llmrec_assets_tests.chaos import checks, damage, faults, machine, publishing
from llmrec_assets_tests.chaos.batches import Batch
from llmrec_assets_tests.chaos.runs import Commands
from llmrec_assets_tests.chaos.scene import Scene, Told
from llmrec_assets_tests.chaos.stores import Stores

FAULTS = {fault.__name__: fault for fault in (*faults.FAULTS, *damage.FAULTS)}
# How often each is drawn: kills and damage have many points.
WEIGHTS = {"kill_in_step": 4, "kill_at_point": 5, "damage_file": 6}
JUDGED = "  champion_model …"
TRIES = 5  # rounds with the same delivery; the store of the last one goes on to the next
LIFE = 12  # deliveries until both stores begin anew, so that rounds stay short


class Chaos:
    """The rounds of one seed in one folder."""

    def __init__(
        self, folder: Path, seed: int, stores: Path | None = None, tries: int = TRIES
    ) -> None:
        """`stores`: where the stores lie meanwhile, if not in the folder of the ledger."""
        self.folder, self.seed, self.work, self.tries = folder, seed, stores or folder, tries
        for path in (folder, self.work):
            path.mkdir(parents=True, exist_ok=True)
        self.commands = Commands(self.work)
        self.ledger = folder / "rounds.jsonl"

    def done(self) -> list[dict]:
        """The finished rounds."""
        if not self.ledger.is_file():
            return []
        return [json.loads(line) for line in self.ledger.read_text("utf-8").splitlines()]

    def play(self, number: int, names: list[str]) -> dict:
        """One round, and its line."""
        started, stores = time.monotonic(), self._stores(number)
        cpu = self.commands.cpu_seconds()
        chance = random.Random(f"{self.seed}/{number}")
        if stores.is_new:  # nothing was written yet that could be damaged
            names = [name for name in names if name != "damage_file"] or names
        name = chance.choices(names, [WEIGHTS.get(name, 2) for name in names])[0]
        last = (number + 1) % self.tries == 0
        try:
            told = self._round(stores, name, chance, last)
        except Exception:  # a harness that cannot look is a failed round as well
            told = Told("?", wrong=[traceback.format_exc()[-1500:]])
        row = {
            "round": number, "fault": name, "what": told.what, "ended": told.ended,
            "detected": told.detected, "wrong": told.wrong,
            "seconds": round(time.monotonic() - started, 1),
            "cpu_seconds": round(self.commands.cpu_seconds() - cpu, 1),
        }  # fmt: skip
        if told.wrong:
            self._keep(stores, number)
            if last:
                stores.give_up()
        with self.ledger.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        return row

    def _stores(self, number: int) -> Stores:
        """Those of a round; the pair before this life is forgotten."""
        lives, delivery = divmod(number // self.tries, LIFE)
        life = self.work / f"life-{lives:03}"
        machine.leave(life / "store")
        for old in self.work.glob("life-*"):
            if old != life:
                shutil.rmtree(old)
        return Stores(life, delivery)

    def _round(self, stores: Stores, name: str, chance: random.Random, last: bool) -> Told:
        batch = stores.begin(self.seed)
        stores.let_run(1, batch, self.commands)
        scene = Scene(stores.layout, self.commands, chance, *stores.seen(), batch.folder)
        told = FAULTS[name](scene)
        stores.let_a_minute_pass()
        settled, folders = self._recover(stores, batch, told), sorted(stores.life.glob("batch-*"))
        told.wrong += checks.lost_or_doubled(stores.layout, folders)[:5]
        if settled is None:
            return told
        told.wrong += publishing.half_published(stores.layout)
        left = checks.leftovers(stores.layout) - checks.leftovers(settled)
        told.wrong += [f"left behind: {sorted(left)[:3]}"] if left else []
        if last and not told.wrong:
            alike = told.same_history and not told.longer
            stores.hand_on(settled if alike else stores.layout)
        return told

    def _recover(self, stores: Stores, batch: Batch, told: Told) -> Layout | None:
        """Run until the store equals the undisturbed one after as many runs, or one more.

        A disturbed command that came to the judging may have done a run's work: who serves then is
        judged again as the champion, and responses return as events. After that nothing changes.

        Returns:
            The undisturbed store that it equals; None where it equals none, which is told.
        """
        judged = any(JUDGED in outcome.said for outcome in told.outcomes)
        most, unlike = 2 + batch.has_feedback if judged else 1, []
        for runs in range(1, most + 1):
            with ThreadPoolExecutor(1) as beside:  # what will likely be compared
                beside.submit(stores.let_run, min(2, most), batch, self.commands)
                outcome = self.commands.run(stores.layout, "run")
            if not outcome.well:
                told.wrong.append(f"no recovery: {outcome.said[-800:]}")
                return None
            for peaceful in range(runs, most + 1):
                calm = stores.let_run(peaceful, batch, self.commands)
                unlike = checks.unlike(stores.layout, calm, told.same_history, told.longer)
                if not unlike:
                    return calm
        told.wrong += unlike[:5]
        return None

    def _keep(self, stores: Stores, number: int) -> None:
        """Keep what a failed round left."""
        kept = self.folder / f"failed-{number:03}"
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(stores.life, kept, ignore=shutil.ignore_patterns("before-*"))
