"""What the benchmarks share: a data set brought to fused features in a store of its own."""

import argparse
import shutil
from pathlib import Path
from typing import Any

import dagster as dg

from llmrec_assets.assets.model_inputs import read_inputs
from llmrec_assets.core.config import ModelConfig
from llmrec_assets.core.recommender import Recommender, fit_weights, make_experts
from llmrec_assets.core.splits import leave_one_out
from llmrec_assets.core.training import fit
from llmrec_assets.definitions import defs
from llmrec_assets.layout import Layout
from llmrec_assets.resources.encoder import TextEncoder
from llmrec_assets.resources.wiring import resources_of
from llmrec_assets.sql.training_data import TrainingData


def folder_parser(description: str | None) -> argparse.ArgumentParser:
    """Arguments that name a folder of events.csv and items.csv; a benchmark adds its own."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--events", default="events.csv")
    parser.add_argument("--k-core", type=int, default=0)
    return parser


def prepared(
    layout: Layout,
    folder: Path,
    events: str = "events.csv",
    k_core: int = 0,
    encoder: str | None = None,
) -> TrainingData:
    """Materialise everything up to the fused features; the data of the evaluation fit."""
    resources = materialised(layout, folder, ["fused_features"], events, k_core, encoder)
    inputs = read_inputs(resources["warehouse"], resources["arrays"], "z-score", ("evaluation",))
    return inputs.data["evaluation"]


def served(data: TrainingData, config: ModelConfig) -> Recommender:
    """What would serve, fitted without each user's last two events (the last: test target)."""
    spans, split = (data.sequences, data.catalogue), leave_one_out(data.sequences)
    model = fit(*spans, config, split.train_end, split).model
    experts = make_experts(model, *spans, split.train_end)
    weights = fit_weights(experts, data.sequences, split.validation, config.seed)
    return weights.recommender(experts)


def materialised(
    layout: Layout,
    folder: Path,
    assets: list[str],
    events: str = "events.csv",
    k_core: int = 0,
    encoder: str | None = None,
) -> dict[str, Any]:
    """Materialise the assets and all before them; the resources of the store.

    `folder` holds items.csv and the file named `events`. `encoder` is as in LLMREC_ENCODER, which
    counts without it.
    """
    for source, target in ((events, layout.landing_events), ("items.csv", layout.landing_items)):
        target.mkdir(parents=True)
        shutil.copy(folder / source, target)
    resources = resources_of(layout)
    if encoder:
        resources["encoder"] = TextEncoder(model=encoder, made=str(layout.encoders))
    selection = dg.AssetSelection.assets(*assets).upstream()
    job = dg.define_asset_job("prepare", selection)
    prepare = dg.Definitions(
        assets=defs.assets, asset_checks=defs.asset_checks, jobs=[job], resources=resources
    )
    config = {"ops": {"clean_events": {"config": {"k_core": k_core}}}}
    assert prepare.resolve_job_def("prepare").execute_in_process(run_config=config).success
    return resources
