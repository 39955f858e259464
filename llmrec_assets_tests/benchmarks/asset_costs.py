"""What every asset costs (seconds, CPU-seconds, peak memory), each in a process of its own.

    python -m llmrec_assets_tests.benchmarks.asset_costs FOLDER [EVENTS_FILE]

FOLDER holds events.csv and items.csv. The baseline row is a process that only loads the
definitions: what an asset costs is read against it.
"""

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from llmrec_assets.definitions import STAGES, defs
from llmrec_assets.instance import prepare
from llmrec_assets.layout import Layout
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.sql.summary import summarise


def measure(command: list[str]) -> tuple[float, float, float]:
    """(seconds, CPU-seconds, peak resident MB) of a command that must succeed."""
    started = time.perf_counter()
    quiet = [(os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)]
    child = os.posix_spawn(command[0], command, os.environ, file_actions=quiet)
    _, status, usage = os.wait4(child, 0)
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{' '.join(command)} failed")
    seconds = time.perf_counter() - started
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main(folder: Path, events: str) -> None:
    """Print one row per asset, then the outcome of the run."""
    with tempfile.TemporaryDirectory() as root:
        layout = Layout(Path(root))
        prepare(layout)
        shutil.copy(folder / events, layout.landing_events)
        shutil.copy(folder / "items.csv", layout.landing_items)
        dagster = [sys.executable, "-m", "dagster"]
        rows = {
            "(definitions alone)": measure(
                [sys.executable, "-c", "import llmrec_assets.definitions"]
            )
        }
        graph = defs.resolve_asset_graph()
        for key in graph.toposorted_asset_keys:
            if key in graph.materializable_asset_keys and graph.get(key).group_name in STAGES:
                name = key.to_user_string()
                select = [
                    "asset",
                    "materialize",
                    "--select",
                    name,
                    "-m",
                    "llmrec_assets.definitions",
                ]
                rows[name] = measure([*dagster, *select])
        for name, (seconds, cpu, megabytes) in rows.items():
            print(
                f"{name:<22}{seconds:>8.1f} s{cpu:>8.1f} CPU-s{megabytes:>8.0f} MB", file=sys.stderr
            )
        with Warehouse(path=str(layout.warehouse)).connect() as connection:
            outcome = summarise(connection)
        print(json.dumps(outcome.counts), outcome.decision["reason"], file=sys.stderr)
        print(outcome.scores.to_string(index=False), file=sys.stderr)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "events.csv")
