"""What the text of the whole history adds to the served ranking, and what encoding it costs.

    python -m llmrec_assets_tests.benchmarks.history_texts FOLDER [--k-core N] [--users N]
        [--characters N] [--length N] [--network]

FOLDER holds events.csv and items.csv. Protocol as in the benchmark `quality`, with the weights of
both sides learnt and judged on the same users: all, or --users drawn by chance, which saves
encoding the histories of the others. Without --network both sides do without the network, which
takes most of the time. The settings of the environment apply.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import dagster as dg
import numpy as np

from llmrec_assets.assets.model_inputs import read_inputs
from llmrec_assets.core.config import ModelConfig
from llmrec_assets.core.recommender import HISTORIES, fit_weights, make_experts
from llmrec_assets.core.splits import Split, leave_one_out
from llmrec_assets.core.training import fit
from llmrec_assets.definitions import defs
from llmrec_assets.layout import Layout
from llmrec_assets.resources.wiring import resources_of
from llmrec_assets.sql.s2_tables import HISTORY_TEXTS
from llmrec_assets.sql.training_data import TrainingData
from llmrec_assets_tests.benchmarks.preparation import prepared
from llmrec_assets_tests.benchmarks.quality import Table, timed, without


def materialise(layout: Layout, name: str, **config: object) -> float:
    """Run one asset; its CPU-seconds."""
    job = dg.define_asset_job("one", dg.AssetSelection.assets(name))
    one = dg.Definitions(
        assets=defs.assets,
        asset_checks=defs.asset_checks,
        jobs=[job],
        resources=resources_of(layout),
    )
    run_config = {"ops": {name: {"config": config}}} if config else {}
    started = time.process_time()
    assert one.resolve_job_def("one").execute_in_process(run_config=run_config).success
    return time.process_time() - started


def told(layout: Layout, users: list[str], reading: dict[str, int]) -> tuple[TrainingData, float]:
    """The data with the histories of `users` as texts, and CPU-seconds that encoding them took."""
    again = materialise(layout, "text_features")  # with nothing to encode
    materialise(layout, "user_sequences", history_texts=True, **reading)
    resources = resources_of(layout)
    with resources["warehouse"].connect() as connection:
        connection.execute(
            f"delete from {HISTORY_TEXTS.full_name} where not list_contains(?, user_id)", [users]
        )
        shown = "select count(*), count(distinct text), avg(length(text)) from {{}}"
        counts = connection.execute(shown.format(HISTORY_TEXTS.full_name)).fetchall()[0]
        print(f"histories told, distinct, characters: {counts}", file=sys.stderr)
    encoding = materialise(layout, "text_features") - again
    materialise(layout, "fused_features")
    inputs = read_inputs(resources["warehouse"], resources["arrays"], "z-score", ("evaluation",))
    return inputs.data["evaluation"], encoding


def main(arguments: argparse.Namespace) -> None:
    """Learn and judge both sides, then print the table."""
    with tempfile.TemporaryDirectory() as root:
        layout = Layout(Path(root))
        data = prepared(layout, arguments.folder, k_core=arguments.k_core)
        n = min(arguments.users or len(data.users), len(data.users))
        chosen = np.sort(np.random.default_rng(0).choice(len(data.users), n, replace=False))
        reading = {
            "history_characters": arguments.characters,
            "history_length": arguments.length,
        }
        data, encoding = told(layout, [data.users[user] for user in chosen], reading)
        print(f"{n} users, {encoding:.0f} CPU-s to encode their histories")
        sequences, catalogue, whole = data.sequences, data.catalogue, leave_one_out(data.sequences)
        out = np.full(sequences.n_users, -1, dtype=np.int64)
        validation, test = out.copy(), out.copy()
        validation[chosen], test[chosen] = whole.validation[chosen], whole.test[chosen]
        network = None
        if arguments.network:
            config = ModelConfig(seed=0)
            network = fit(sequences, catalogue, config, whole.train_end, whole).model
        experts = make_experts(network, sequences, catalogue, whole.train_end)
        table = Table(data, Split(whole.train_end, validation, test))
        for name in ("texts", HISTORIES):
            table.add(f"{name} alone", experts.prior[name], 0)
        for name, side in (("with", experts), ("without", without(experts, HISTORIES))):
            weights, weighing = timed(fit_weights, side, sequences, validation, 0)
            print(f"{name} histories: powers {weights.powers}", file=sys.stderr)
            table.add(name, weights.recommender(side), weighing)
        table.show("with")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--k-core", type=int, default=0)
    parser.add_argument("--users", type=int, default=0)
    parser.add_argument("--characters", type=int, default=300)
    parser.add_argument("--length", type=int, default=50)
    parser.add_argument("--network", action="store_true")
    main(parser.parse_args())
