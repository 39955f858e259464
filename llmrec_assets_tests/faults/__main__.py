"""Plant faults into a running service, one after the other, and see it recover by itself.

    python -m llmrec_assets_tests.faults [--fault NAME …] [--asset NAME …] [--rounds N] [--seed N]
        [--folder FOLDER]

Daemon with queue and sensors, and webserver, run on a tiny store. A round drops new events and
feedback, plants a fault while a run is at an asset, waits until everything dropped is in the lists,
and checks that no event is lost or counted twice, that exactly one champion serves and that the
published lists are its own. Without --rounds every fault is planted at every asset that it is meant
for; with it, pairs are drawn by the seed. One line of JSON a round; exit status 1 when one failed.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path

from llmrec_assets.layout import Layout
from llmrec_assets_tests.faults.faults import FAULTS
from llmrec_assets_tests.faults.invariants import broken, settled
from llmrec_assets_tests.faults.service import NotRecovered, Service
from llmrec_assets_tests.faults.traffic import Traffic

ASSETS = (
    "raw_events", "raw_items", "rejected_events", "clean_events", "temporal_features",
    "user_sequences", "item_encoder", "text_features", "fused_features", "temporal_model",
    "model_evaluation", "champion_model", "recommendations", "feedback",
)  # fmt: skip
# Where the asset does not matter, or only data that comes at one place is meant.
PLACES = {
    "launch_twice": ("temporal_model",),
    "deliver_twice": ("temporal_model",),
    "truncated": ("feedback",),
    "arrive_during_work": ("raw_events", "feedback", "temporal_model", "recommendations"),
    "clock_steps_back": ("temporal_model",),
}
RECOVERY = 300  # seconds until everything dropped is known to the lists


def pairs(faults: list[str], assets: list[str]) -> list[tuple[str, str]]:
    """(fault, asset) of one pass."""
    return [(fault, asset) for fault in faults for asset in PLACES.get(fault, tuple(assets))]


def play(service: Service, traffic: Traffic, fault: str, asset: str) -> dict[str, object]:
    """One round: what it did and how it ended."""
    started = time.monotonic()
    row: dict[str, object] = {"fault": fault, "asset": asset}
    try:
        planted = FAULTS[fault](service, traffic, asset)
        if planted.found_after is not None:
            row["found_after"] = round(planted.found_after, 1)
        service.wait("the recovery", lambda: settled(service, traffic), RECOVERY)
        row["broken"] = broken(service, traffic)
    except NotRecovered as error:
        row["broken"] = [str(error)]
    return row | {"seconds": round(time.monotonic() - started, 1)}


def main(arguments: argparse.Namespace) -> int:
    """Play the rounds; how many failed."""
    chosen = pairs(arguments.fault or list(FAULTS), arguments.asset or list(ASSETS))
    if arguments.rounds:
        chance = random.Random(arguments.seed)
        chosen = [chance.choice(chosen) for _ in range(arguments.rounds)]
    failed = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(arguments.folder or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        clock = folder / "clock"
        clock.write_text("+0")
        faked = any(fault == "clock_steps_back" for fault, _ in chosen)
        layout = Layout(folder / "data")
        with Service(layout, clock if faked else None) as service:
            traffic = Traffic(layout)
            traffic.drop_events()
            service.wait("the first lists", lambda: settled(service, traffic), RECOVERY)
            for number, (fault, asset) in enumerate(chosen, 1):
                row = play(service, traffic, fault, asset)
                failed += bool(row["broken"])
                print(json.dumps({"round": number, **row}), flush=True)
    return failed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fault", action="append", choices=list(FAULTS))
    parser.add_argument("--asset", action="append", choices=ASSETS)
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", help="kept afterwards; a new one otherwise, removed")
    sys.exit(min(main(parser.parse_args()), 1))
