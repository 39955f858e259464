"""What diversity costs in quality, and its curve in CPU-seconds.

    python -m llmrec_assets_tests.benchmarks.diversity_cost FOLDER [--events FILE] [--k-core N]
        [--epochs N] [--users N] [--encoder NAME]

FOLDER holds events.csv and items.csv. Fits what would serve without each user's last two events,
and prints the curve of the evaluation's metadata over the users' last events, the weight that costs
at most 1 % of NDCG@10, the CPU-seconds that ranking for all takes, and those that the curve adds.
"""

import argparse
import tempfile
import time
from pathlib import Path

from llmrec_assets.core.config import ModelConfig
from llmrec_assets.core.diversity_curve import bearable
from llmrec_assets.core.judging import judge
from llmrec_assets.core.splits import leave_one_out
from llmrec_assets.layout import Layout
from llmrec_assets_tests.benchmarks.preparation import folder_parser, prepared, served


def main(arguments: argparse.Namespace) -> None:
    """Fit, judge without and with the curve, and print."""
    with tempfile.TemporaryDirectory() as root:
        chosen = (arguments.folder, arguments.events, arguments.k_core, arguments.encoder)
        data = prepared(Layout(Path(root)), *chosen)
        scorers = [("served", "challenger", served(data, ModelConfig(max_epochs=arguments.epochs)))]
        split, seconds = leave_one_out(data.sequences), {}
        for users in (0, arguments.users):
            started = time.process_time()
            curve = judge("leave_one_out", scorers, data, split, curve_users=users).curve
            seconds[users] = time.process_time() - started
    print(f"{int((split.test >= 0).sum())} users, {data.catalogue.n_items} items")
    print(curve.drop(columns=["protocol", "scorer", "role"]).round(4).to_string(index=False))
    print(f"for at most 1 % of NDCG@10: {bearable(curve):g}")
    print(
        f"CPU-s: {seconds[0]:.1f} to judge, {seconds[arguments.users] - seconds[0]:+.1f} for this"
    )


if __name__ == "__main__":
    parser = folder_parser(__doc__)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--users", type=int, default=2000)
    parser.add_argument("--encoder", help="as in LLMREC_ENCODER")
    main(parser.parse_args())
