"""Random seeded faults on a tiny store; after each recovery it equals one that nothing befell.

    python -m llmrec_assets_tests.chaos --rounds 200 --folder FOLDER --stores /dev/shm/chaos

A round delivers new files to two stores. One runs in peace; the other is killed, damaged, left
without room or permission, or run twice at once, at a point that the seed draws, and runs again as
its user would. Then no event is lost or doubled, every table equals the other store's, one champion
serves and what is published is whole and its own; damage that no run can mend was found before use
by an error that names the file and the remedy. A finished round is a line of FOLDER/rounds.jsonl:
the same command goes on where it was cut short. Exit status 1 when a round failed.

The disk is a small tmpfs where this runs as root, else a limit to the size of a file. Stores in
memory (a tmpfs) make rounds quicker; one that fails is copied to FOLDER. Two things are not as they
are for a user, to be quick: plots are not drawn, and Dagster's storage keeps its engines.
"""

import argparse
import json
import sys
from pathlib import Path

from llmrec_assets_tests.chaos.report import table
from llmrec_assets_tests.chaos.rounds import FAULTS, Chaos


def main(arguments: argparse.Namespace) -> int:
    """Play the rounds that are not done yet; how many of all failed."""
    stores = Path(arguments.stores).resolve() if arguments.stores else None
    chaos = Chaos(Path(arguments.folder).resolve(), arguments.seed, stores)
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
    parser.add_argument("--folder", required=True, help="of the ledger, and of what failed")
    parser.add_argument("--stores", help="where the stores lie meanwhile (default: FOLDER)")
    parser.add_argument("--fault", action="append", choices=list(FAULTS))
    sys.exit(min(main(parser.parse_args()), 1))
