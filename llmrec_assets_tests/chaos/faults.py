"""Runs that are killed, meet each other, or find no room and no permission."""

import os
import time
from collections.abc import Callable

from llmrec_assets_tests.chaos.machine import small_disk
from llmrec_assets_tests.chaos.points import Point
from llmrec_assets_tests.chaos.scene import Scene, Told

Fault = Callable[[Scene], Told]


def kill_in_step(scene: Scene) -> Told:
    """SIGKILL in the middle of a step, or between it and the next."""
    step = scene.chance.choice(list(scene.durations))
    share = scene.chance.uniform(0, 1.1)
    running = scene.commands.start(scene.layout, "run")
    running.wait_for(f"  {step} …\n")
    time.sleep(share * scene.durations[step])
    return Told(f"{step} at {share:.2f}", [running.kill()])


def kill_at_point(scene: Scene) -> Told:
    """SIGKILL just before a file is opened for writing, renamed or removed, or at a commit."""
    kind = scene.chance.choice([kind for kind, count in scene.points.items() if count])
    point = Point(kind, scene.chance.randint(1, scene.points[kind]))
    outcome = scene.commands.start(scene.layout, "run", die_at=point).end()
    return Told(f"{kind} {point.nth} of {scene.points[kind]}", [outcome])


def kill_twice(scene: Scene) -> Told:
    """SIGKILL, and SIGKILL again while the next run mends what the first left."""
    first, second = kill_at_point(scene), kill_in_step(scene)
    return Told(f"{first.what}, {second.what}", [*first.outcomes, *second.outcomes])


def damage_log(scene: Scene) -> Told:
    """SIGKILL after a commit; then DuckDB's log of it is cut, or some of its bytes change."""
    point = Point("logged", scene.chance.randint(1, scene.points["logged"]))
    told = Told(f"log {point.nth} of {scene.points['logged']}")
    told.outcomes.append(scene.commands.start(scene.layout, "run", die_at=point).end())
    log = scene.layout.warehouse.with_name(f"{scene.layout.warehouse.name}.wal")
    if not log.is_file() or not log.stat().st_size:
        return told
    raw, way = bytearray(log.read_bytes()), scene.chance.choice(("cut", "flipped"))
    place = scene.chance.randrange(len(raw))
    if way == "cut":
        log.write_bytes(raw[:place])
    else:
        raw[place] ^= 1 << scene.chance.randrange(8)
        log.write_bytes(raw)
    told.what += f", {way} at {place} of {len(raw)}"
    told.outcomes.append(outcome := scene.commands.run(scene.layout, "run"))
    if not outcome.well:
        told.detected = "run"
        if log.name not in outcome.said or "move" not in outcome.said:
            told.wrong.append(f"no remedy for {log.name}: {outcome.said[-300:]}")
        log.unlink()  # as the error says
    return told


def two_commands(scene: Scene) -> Told:
    """`llmrec run` twice at once: one of them is refused, or they come one after the other."""
    running = [scene.commands.start(scene.layout, "run")]
    wait = scene.chance.uniform(0, 3)
    time.sleep(wait)
    running.append(scene.commands.start(scene.layout, "run"))
    told = Told(f"{wait:.1f} s apart", [one.end() for one in running])
    if not any(outcome.well for outcome in told.outcomes):
        told.wrong.append("none of two commands did its work")
    told.wrong += [
        f"a second command failed otherwise: {outcome.said[-300:]}"
        for outcome in told.outcomes
        if not outcome.well and "another llmrec command is working on" not in outcome.said
    ]
    return told


def beside_the_daemon(scene: Scene) -> Told:
    """The daemon runs the loop while it takes in files and feedback, as its queue allows."""
    scene.commands.run(scene.layout, "job")  # no run: the daemon's own start makes its history
    running = [
        scene.commands.start(scene.layout, "job", "full_loop"),
        scene.commands.start(scene.layout, "job", "ingest", "collect_feedback"),
    ]
    told = Told("full_loop beside ingest and collect_feedback", [one.end() for one in running])
    told.longer = ("monitoring.drift",)  # ingest looks before anything is trained on the new events
    told.wrong += [o.said[-400:] for o in told.outcomes if not o.well]
    return told


def full_disk(scene: Scene) -> Told:
    """The disk fills up in the middle of a run."""
    room = int(scene.chance.uniform(0, 1.2) * max(scene.growth, 1 << 20))
    if os.geteuid() != 0:
        running = scene.commands.start(scene.layout, "run", most_bytes=room)
        return _with_remedy(Told(f"no file above {room} bytes (simulated)", [running.end()]))
    with small_disk(scene.layout.root) as size_it:
        size_it(room)
        told = Told(f"{room >> 10} KB left", [scene.commands.run(scene.layout, "run")])
        size_it(1 << 30)
    return _with_remedy(told, "make room", "has room")


def no_permission(scene: Scene) -> Told:
    """A folder or file of the store may not be written, or not be read, any more."""
    layout = scene.layout
    places = [layout.root, layout.serving, layout.packages, layout.arrays, layout.mlflow_artifacts,
              layout.warehouse, layout.mlflow_database, layout.dagster_home,
              layout.dagster_home / "history", layout.landing_events,
              *layout.landing_events.iterdir()]  # fmt: skip
    place = scene.chance.choice([place for place in places if place.exists()])
    before, mode = place.stat().st_mode, scene.chance.choice((0o000, 0o555, 0o400))
    place.chmod(mode)
    try:
        outcome = scene.commands.start(layout, "run", plain=True).end()
    finally:
        place.chmod(before & 0o7777)
    told = Told(f"{place.relative_to(layout.root)} is {mode:03o}", [outcome])
    return _with_remedy(told, str(place.name))


def _with_remedy(told: Told, *names: str) -> Told:
    """A command that was refused says where and how to mend it."""
    for outcome in told.outcomes:
        if outcome.code == 1 and not (
            "→" in outcome.said and (not names or any(name in outcome.said for name in names))
        ):
            told.wrong.append(f"no place or no remedy: {outcome.said[-500:]}")
        if outcome.code not in (0, 1):
            told.wrong.append(f"ended by {outcome.code}: {outcome.said[-500:]}")
    return told


FAULTS: tuple[Fault, ...] = (
    kill_in_step, kill_at_point, kill_twice, damage_log, two_commands, beside_the_daemon,
    full_disk, no_permission,
)  # fmt: skip
