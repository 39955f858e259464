"""How good each network is by itself, and each ranking without training.

    python -m llmrec_assets_tests.benchmarks.family FOLDER [--events FILE] [--k-core N] [--seeds N]
        [--networks NAME ...] [--baselines NAME ...]

FOLDER holds events.csv and items.csv. Protocol and columns are those of `quality`; the interval is
of the first network's lead, or the first baseline's where there is no network. Networks are trained
with the defaults.
"""

import argparse
import tempfile
from pathlib import Path
from typing import get_args

import torch

from llmrec_assets.core.config import Baseline, ModelConfig
from llmrec_assets.core.family import BASELINES
from llmrec_assets.core.networks.scoring import NetworkScorer
from llmrec_assets.core.splits import leave_one_out
from llmrec_assets.core.training import fit
from llmrec_assets.layout import Layout
from llmrec_assets_tests.benchmarks.preparation import folder_parser, prepared
from llmrec_assets_tests.benchmarks.quality import Table, timed

NETWORKS = get_args(ModelConfig.model_fields["network"].annotation)


def main(arguments: argparse.Namespace) -> None:
    """Fit and evaluate all that is named, then print the table."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as root:
        data = prepared(Layout(Path(root)), arguments.folder, arguments.events, arguments.k_core)
        sequences, catalogue, split = data.sequences, data.catalogue, leave_one_out(data.sequences)
        table = Table(data, split)
        for name in arguments.baselines:
            fitting = (BASELINES[name], sequences, catalogue.n_items, split.train_end)
            table.add(name, *timed(*fitting))
        for network in arguments.networks:
            for seed in range(arguments.seeds):
                config = ModelConfig(network=network, seed=seed)
                fitted, cpu = timed(fit, sequences, catalogue, config, split.train_end, split)
                table.add(network, NetworkScorer(fitted.model), cpu)
    table.show([*arguments.networks, *arguments.baselines][0])


if __name__ == "__main__":
    parser = folder_parser(__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--networks", nargs="*", choices=NETWORKS, default=NETWORKS)
    names = get_args(Baseline)
    parser.add_argument("--baselines", nargs="*", choices=names, default=names)
    main(parser.parse_args())
