"""What the loop is worth to simulated users whose tastes turn, and what a bot farm does to it.

    python -m llmrec_assets_tests.benchmarks.loop_proof FOLDER [--seeds N] [--parameters NAME …]
        [--cycles N] [--poison] [--plot FILE.png]

Plays the simulations of the asset `loop_utility` in FOLDER, each in a process and a store of its
own, and goes on where it was cut short. A cycle takes about 20 CPU-seconds on one thread. Prints
the mean utility of every arm and its spread over seeds, cycle by cycle, and what is shown of the
proof. With --poison each is played once more, for a few cycles, with a bot farm's batch, and the
pushed item's share of the shop's own users' attention is printed beside that without the batch.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd

from llmrec_assets.assets.loop_study import table_of
from llmrec_assets.core.loop_utility import by_cycle, claims
from llmrec_assets.core.loop_utility_plot import loop_utility_plot
from llmrec_assets.resources.simulator import CYCLES, PARAMETER_NAMES, Plan, Simulator
from llmrec_assets.simulation.cycles import POISONED_CYCLE, pushed_item

AFTER_THE_BATCH = 2  # cycles that are looked at


def say(line: str) -> None:
    """To the standard error, which is no figure."""
    print(line, file=sys.stderr, flush=True)


def prove(simulator: Simulator, arguments: argparse.Namespace) -> None:
    """Play what was not played yet and print what it shows."""
    tables, turns = [], {}
    for seed in range(arguments.seeds):
        for name in arguments.parameters:
            plan = Plan(name, seed, arguments.cycles)
            records = simulator.play(plan, say)
            tables.append(table_of(plan, records))
            turns[name] = int(records[0]["turns"])
    table = pd.concat(tables, ignore_index=True)
    cycles = by_cycle(table)
    cycles["told"] = [f"{m:.3f} ± {s:.3f}" for m, s in cycles[["mean", "spread"]].to_numpy()]
    for name, own in cycles.groupby("parameters", sort=False):
        print(f"\n{name}, {own['seeds'].max()} seeds: expected wanted clicks a list")
        print(own.pivot(index="cycle", columns="arm", values="told").to_string())
        for claim in claims(table[table["parameters"] == name], turns[str(name)]):
            print(f"{'shown' if claim.shown else 'NOT SHOWN':<10}{claim.claim}: {claim.says}")
    if arguments.plot:
        loop_utility_plot(cycles, turns).savefig(arguments.plot, dpi=80)


def poison(simulator: Simulator, arguments: argparse.Namespace) -> None:
    """Play each with and without the batch and print the pushed item's share of attention.

    One item's share moves by chance in every run, so the ratio that counts is that of the means.
    """
    cycles, rows = POISONED_CYCLE + 1 + AFTER_THE_BATCH, []
    for seed in range(arguments.seeds):
        for name in arguments.parameters:
            plain = simulator.play(Plan(name, seed, cycles), say)
            poisoned = simulator.play(Plan(name, seed, cycles, poisoned=True), say)
            item = pushed_item(plain[POISONED_CYCLE]["exposure"])
            for clean, hit in zip(plain, poisoned, strict=True):
                shares = [record["exposure"].get(item, 0.0) for record in (clean, hit)]
                rows.append((f"{name}-{seed}", clean["cycle"], item, *shares))
    table = pd.DataFrame(rows, columns=["simulation", "cycle", "item", "without", "with"])
    print(table.to_string(index=False))
    after = table.loc[table["cycle"] > POISONED_CYCLE, ["without", "with"]].mean()
    print(f"after the batch {after['without']:.5f} without, {after['with']:.5f} with it:", end=" ")
    print(f"{after['with'] / after['without']:.2f} times")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--parameters", nargs="+", default=list(PARAMETER_NAMES))
    parser.add_argument("--cycles", type=int, default=CYCLES)
    parser.add_argument("--poison", action="store_true")
    parser.add_argument("--plot", type=Path)
    chosen = parser.parse_args()
    (poison if chosen.poison else prove)(Simulator(root=str(chosen.folder.resolve())), chosen)
