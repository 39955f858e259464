"""Play one simulation in a store of its own below the root, or go on where it was cut short.

    python -m llmrec_assets.simulation PARAMETERS SEED [--cycles N] [--poison]

LLMREC_DATA_DIR names the root. Other LLMREC_ variables are the loop's, as anywhere.
"""

import argparse
import os

from llmrec_assets.layout import Layout
from llmrec_assets.resources.simulator import CYCLES, Plan


def main(arguments: argparse.Namespace) -> None:
    """Play it in this process, whose settings become those of the simulation."""
    plan = Plan(arguments.parameters, arguments.seed, arguments.cycles, arguments.poison)
    layout = Layout.from_environment()
    os.environ.update(plan.environment(layout))
    # The definitions read the settings when they load.
    from llmrec_assets.instance import exclusive
    from llmrec_assets.simulation.cycles import play

    store = plan.store(layout)
    with exclusive(store) as instance:
        play(plan, store, instance, lambda line: print(line, flush=True))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parameters")
    parser.add_argument("seed", type=int)
    parser.add_argument("--cycles", type=int, default=CYCLES)
    parser.add_argument("--poison", action="store_true")
    main(parser.parse_args())
