"""What a billion events and a hundred million items need, from slopes measured here.

    python -m llmrec_assets_tests.benchmarks.scaling_plan [--sizes 1e5 1e6 1e7]
        [--events 1e9] [--items 1e8] [--hours 6]

Every step of the flow runs at each size, on one thread; its cost is taken to grow as it did between
the two largest. What cannot be measured here, such as a GPU, is arithmetic, with what it assumes.
"""

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from llmrec_assets_tests.benchmarks.cpu import cpu_seconds

PLANNED_DEVICE = 4e14  # useful operations a second of one data-centre GPU in bf16, 40 % of its peak
EMBEDDED = 384  # numbers of a text's embedding, in half precision
PARAMETERS, TOKENS = (
    1.1e7,
    20,
)  # of a small encoder (all-MiniLM-L6-v2) without its table; of a title
WIDTH, NEGATIVES, EPOCHS, LISTED = 64, 16_384, 10, 1_000
A_USER = 25  # events


@dataclass(frozen=True)
class Measured:
    """One size: CPU-seconds of each step, and bytes."""

    events: int
    seconds: dict[str, float]
    bytes: dict[str, float]


def measure(events: int) -> Measured:
    """Bring a generated log from raw events to what a model reads, in this process."""
    import duckdb

    from llmrec_assets_tests.benchmarks.generated_events import Shop, fill_raw, fill_raw_items
    from llmrec_assets_tests.benchmarks.increments import built, read

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "warehouse.duckdb"
        with duckdb.connect(str(file)) as connection:
            connection.execute("set timezone = 'UTC'; set threads = 1; set memory_limit = '4GB'")
            shop = Shop(events)
            fill_raw(connection, shop.log())
            fill_raw_items(connection, shop)
            connection.execute("checkpoint")
            raw = file.stat().st_size
            seconds = built(connection)
            connection.execute("checkpoint")
            whole = file.stat().st_size
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            seconds["loading"] = cpu_seconds(lambda: read(connection))
        loaded = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    return Measured(events, seconds, {"raw": raw, "warehouse": whole, "loading": max(0, loaded)})


def growth(small: float, large: float, ratio: float) -> float:
    """The exponent by which a cost grows."""
    return math.log(large / small) / math.log(ratio) if small > 0 and large > 0 else 1.0


def grown(sizes: list[Measured], value: Callable[[Measured], float], events: float) -> float:
    """The largest size's value, carried on to `events` by the growth since the one before."""
    before, last = sizes[-2], sizes[-1]
    exponent = growth(value(before), value(last), last.events / before.events)
    return value(last) * (events / last.events) ** max(1.0, exponent)


def plan(sizes: list[Measured], events: float, items: float, hours: float) -> list[str]:
    """The lines of the plan, as Markdown."""
    users = events / A_USER
    steps = {
        name: grown(sizes, lambda m, name=name: m.seconds[name], events)
        for name in sizes[-1].seconds
    }
    stored = grown(sizes, lambda m: m.bytes["warehouse"], events)
    raw = grown(sizes, lambda m: m.bytes["raw"], events)
    cores = sum(steps.values()) / (hours * 3600)
    table = items * WIDTH * 4
    vectors = items * EMBEDDED * 2
    encoding = items * 2 * PARAMETERS * TOKENS / PLANNED_DEVICE
    # Forward and backward: three products of a query with each negative, for each event.
    training = EPOCHS * events * NEGATIVES * WIDTH * 6 / PLANNED_DEVICE
    exact = EPOCHS * events * items * WIDTH * 6 / PLANNED_DEVICE
    scoring = users * items * WIDTH * 2 / PLANNED_DEVICE
    return [
        "| step | arithmetic | result |", "| --- | --- | --- |",
        *(f"| {name} | growth^{_exponent(sizes, name):.2f} | {_hours(spent)} of a core |"
          for name, spent in steps.items()),
        f"| all of it in {hours:g} h | sum / {hours:g} h | {cores:,.0f} cores |",
        f"| raw events | {sizes[-1].bytes['raw'] / sizes[-1].events:.0f} bytes each"
        f" | {raw / 1e9:,.0f} GB |",
        f"| all tables | {sizes[-1].bytes['warehouse'] / sizes[-1].events:.0f} bytes an event"
        f" | {stored / 1e9:,.0f} GB |",
        "| shuffles | raw events by user, once; clean events by item, once (popularity)"
        f" | {2 * raw / 1e9:,.0f} GB over the network |",
        f"| encoding items | {items:.0e} x 2 x {PARAMETERS:.1e} x {TOKENS} operations"
        f" | {_hours(encoding)} of a GPU |",
        f"| their vectors | {items:.0e} x {EMBEDDED} x 2 bytes | {vectors / 1e9:,.0f} GB |",
        f"| item table of the model | {items:.0e} x {WIDTH} x 4 bytes, three times with Adam"
        f" | {3 * table / 1e9:,.0f} GB: divided among GPUs |",
        f"| training, {NEGATIVES} negatives | {EPOCHS} x {events:.0e} x {NEGATIVES} x {WIDTH} x 6"
        f" | {_hours(training)} of a GPU, and the lookups |",
        f"| training, all items | {EPOCHS} x {events:.0e} x {items:.0e} x {WIDTH} x 6"
        f" | {_hours(exact)} of a GPU: out of question |",
        f"| exact lists | {users:.0e} users x {items:.0e} x {WIDTH} x 2"
        f" | {_hours(scoring)} of a GPU; an index looks at {LISTED} items a user instead |",
    ]  # fmt: skip


def _exponent(sizes: list[Measured], name: str) -> float:
    before, last = sizes[-2].seconds[name], sizes[-1].seconds[name]
    return growth(before, last, sizes[-1].events / sizes[-2].events)


def _hours(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_400 else f"{seconds / 3600:,.1f} h"


def main(sizes: list[int], events: float, items: float, hours: float) -> None:
    """Print what was measured, then the plan."""
    found = []
    print("| events | CPU-s | a million events | bytes an event |\n| --- | --- | --- | --- |")
    for size in sizes:
        command = [sys.executable, "-m", __spec__.name, "--one", str(size)]
        printed = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
        found.append(Measured(**json.loads(printed.splitlines()[-1])))
        spent = sum(found[-1].seconds.values())
        print(f"| {size:,} | {spent:.1f} | {spent / size * 1e6:.2f}"
              f" | {found[-1].bytes['warehouse'] / size:.0f} |", flush=True)  # fmt: skip
    print(f"\n{events:.0e} events, {events / A_USER:.0e} users, {items:.0e} items\n")
    print("\n".join(plan(found, events, items, hours)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=float, nargs="+", default=[1e5, 1e6, 1e7])
    parser.add_argument("--events", type=float, default=1e9)
    parser.add_argument("--items", type=float, default=1e8)
    parser.add_argument("--hours", type=float, default=6.0)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(vars(measure(given.one))))
    else:
        main([int(size) for size in given.sizes], given.events, given.items, given.hours)
