"""What a shop delivers in a round: by the seed alone, but for the answers to its lists."""

import json
import os
import random
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd

from llmrec_assets.layout import Layout

USERS, ITEMS, FIRST_STEPS, STEPS = 16, 12, 8, 2
START = datetime(2024, 3, 1, tzinfo=UTC)
BEFORE = START.timestamp()
KINDS = ("events", "items", "feedback")


@dataclass(frozen=True)
class Batch:
    """A folder of files by kind, as they will lie in the landing zone."""

    folder: Path

    @property
    def files(self) -> list[tuple[str, Path]]:
        """(kind, file) of each."""
        return [(k, p) for k in KINDS for p in sorted((self.folder / k).glob("*"))]

    @property
    def has_feedback(self) -> bool:
        """Whether responses come back as events, so that a second run is needed."""
        return any(kind == "feedback" for kind, _ in self.files)

    def deliver(self, layout: Layout) -> None:
        """Copy the files into a landing zone, each whole at once."""
        for kind, path in self.files:
            target = layout.landing / kind / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            hidden = target.with_name(f".{path.name}")
            shutil.copyfile(path, hidden)
            os.utime(hidden, (BEFORE, BEFORE))  # a new file is looked at twice, a second apart
            hidden.rename(target)


def make(folder: Path, seed: int, number: int, lists: Path | None) -> Batch:
    """The batch of a round, made once; `lists` are those published before it."""
    if folder.exists():
        return Batch(folder)
    partial = folder.with_name(f".{folder.name}")
    shutil.rmtree(partial, ignore_errors=True)
    chance = random.Random(f"{seed}-{number}")
    first = lists is None
    steps = FIRST_STEPS if first else STEPS
    texts = {"events": _events(chance, number, steps), "items": _items(chance, number, first)}
    if lists and chance.random() < 0.35:
        texts["feedback"] = _answers(chance, number, lists)
    endings = {"events": "csv", "items": "csv", "feedback": "jsonl"}
    for kind, lines in texts.items():
        if lines:
            path = partial / kind / f"{kind}-{number:04}.{endings[kind]}"
            path.parent.mkdir(parents=True)
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    partial.rename(folder)
    return Batch(folder)


def _events(chance: random.Random, number: int, steps: int) -> list[str]:
    """Each user goes round the items in order, with some jumps; a row in forty is bad."""
    rows = ["event_id,user_id,item_id,timestamp,behavior"]
    for user in range(USERS):
        for step in range(steps):
            at = START + timedelta(hours=100 * number + 7 * step, minutes=user)
            jump = chance.randrange(ITEMS) if chance.random() < 0.1 else 0
            item = (user + step + STEPS * number + jump) % ITEMS
            name = f"e{number}-{user}-{step}"
            behavior = chance.choice(("browse", "browse", "buy"))
            rows.append(f"{name},u{user:02},i{item:02},{at.isoformat()},{behavior}")
            if chance.random() < 0.025:
                rows.append(f"bad-{name},u{user:02},,{at.isoformat()},browse")
    return rows


def _items(chance: random.Random, number: int, first: bool) -> list[str]:
    if not first and chance.random() < 0.6:
        return []
    rows = ["item_id,title,category"]
    for item in range(ITEMS) if first else [chance.randrange(ITEMS)]:
        rows.append(f"i{item:02},thing {item % 5} of kind {item} in round {number},c{item % 3}")
    return rows


def _answers(chance: random.Random, number: int, lists: Path) -> list[str]:
    first = pd.read_parquet(lists).query("rank == 1").sort_values("user_id")
    at, lines = (START + timedelta(hours=100 * number + 50)).isoformat(), []
    for slot in first[["list_id", "user_id", "item_id"]].to_dict("records"):
        for response in ("impression", "click") if chance.random() < 0.5 else ("impression",):
            name = f"f{number}-{slot['user_id']}-{response}"
            row = slot | {"rank": 1, "timestamp": at, "feedback_id": name, "response": response}
            lines.append(json.dumps(row))
    return lines
