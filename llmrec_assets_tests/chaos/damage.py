"""Files that are not as they were written: a command finds it before anything is made of them."""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

from llmrec_assets.layout import Layout
from llmrec_assets_tests.chaos.scene import Scene, Told


def _published(layout: Layout) -> list[Path]:
    current = json.loads(layout.current_package.read_text(encoding="utf-8"))["package"]
    folder = layout.packages / current
    return [layout.current_package, layout.recommendations, *folder.iterdir()]


def _registered(layout: Layout) -> list[Path]:
    """The files of the newest version: it serves."""
    folders = sorted(layout.mlflow_artifacts.glob("*/artifacts/package"), key=_made)
    return [path for path in folders[-1].iterdir() if path.is_file()] if folders else []


def _made(path: Path) -> float:
    return path.stat().st_mtime


TARGETS: dict[str, Callable[[Layout], list[Path]]] = {
    "warehouse": lambda layout: [layout.warehouse],
    "array": lambda layout: sorted(layout.arrays.rglob("*.npy")),
    "model": _registered,
    "published": _published,
    "mlflow": lambda layout: [layout.mlflow_database],
    "dagster": lambda layout: sorted(layout.dagster_home.rglob("*.db")),
}
WITHOUT_CHECKSUMS = ("mlflow", "dagster")  # SQLite sees broken pages, but no changed value


def damage_file(scene: Scene) -> Told:
    """A file is cut, emptied, removed, or some of its bytes change, between two runs."""
    kind = scene.chance.choice(list(TARGETS))
    files = TARGETS[kind](scene.layout) if scene.layout.warehouse.exists() else []
    if not files:
        return Told(f"{kind}: not there yet")
    path = scene.chance.choice(files)
    saved = scene.batch.with_name("saved")  # what a backup of the user has
    shutil.copyfile(path, saved)
    told = Told(f"{kind} {path.name} {_damage(path, scene.chance, kind)}")
    damaged = _content(path)
    doctor = scene.commands.run(scene.layout, "doctor")
    told.outcomes.append(run := scene.commands.run(scene.layout, "run"))
    _judge(told, path, "doctor" if not doctor.well else "", doctor.said, run.well, run.said)
    if not run.well or _content(path) == damaged:  # the remedy: it comes from the backup
        shutil.copyfile(saved, path)
        path.with_name(f"{path.name}.wal").unlink(missing_ok=True)  # which has no log of later
    return told


def _judge(told: Told, path: Path, doctor: str, seen: str, well: bool, said: str) -> None:
    """Who found it; a run that could not go on named the file and the remedy."""
    named = path.name in seen or path.parent.name in seen
    told.detected = doctor if named else ""
    if not well:
        told.detected = f"{told.detected} run".strip()
        if path.name not in said or "→" not in said:
            told.wrong.append(f"the run names no file or no remedy: {said[-500:]}")
    elif doctor and not named:
        told.wrong.append(f"doctor finds something else: {seen[-300:]}")


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _damage(path: Path, chance: random.Random, kind: str) -> str:
    """Damage a file; in what way."""
    raw = bytearray(path.read_bytes())
    ways = ["cut", "emptied", "garbled"]
    if kind != "warehouse":  # without it a store begins anew, as the README says
        ways.append("removed")
    if kind not in WITHOUT_CHECKSUMS:
        ways += ["flipped"] * 3
    way = chance.choice(ways)
    if way == "removed":
        path.unlink()
        return way
    if way == "emptied":
        raw.clear()
    elif way == "cut":
        del raw[chance.randrange(len(raw) or 1) :]
    elif way == "garbled":
        raw[:100] = chance.randbytes(100)
    else:
        place = chance.randrange(len(raw))
        raw[place] ^= 1 << chance.randrange(8)
        way = f"flipped at {place} of {len(raw)}"
    path.write_bytes(raw)
    return way


def cut_landing_file(scene: Scene) -> Told:
    """A file of events is cut while it is copied; the user takes it back and delivers it anew."""
    name = next((scene.batch / "events").iterdir()).name
    landed, whole = scene.layout.landing_events / name, scene.batch / "events" / name
    raw = whole.read_bytes()
    place = scene.chance.randrange(1, len(raw))
    landed.write_bytes(raw[:place])
    told = Told(f"{name} cut at {place} of {len(raw)}", same_history=False)
    told.outcomes.append(outcome := scene.commands.run(scene.layout, "run"))
    if not outcome.well and "→" not in outcome.said and str(landed.parent) not in outcome.said:
        told.wrong.append(f"no remedy: {outcome.said[-300:]}")
    retracted = scene.commands.run(scene.layout, "retract", name, "--yes")
    nothing_left = "clean_events_exist" in retracted.said  # it was the only file
    if not retracted.well and not nothing_left and "no file" not in retracted.said:
        told.wrong.append(f"could not be taken back: {retracted.said[-500:]}")
    hidden = landed.with_name(f".{name}")
    shutil.copyfile(whole, hidden)
    hidden.rename(landed)
    return told


FAULTS = (damage_file, cut_landing_file)
