"""What texts, words and the language model add, and what they cost.

    python -m llmrec_assets_tests.benchmarks.what_texts_add FOLDER [--events FILE] [--k-core N]
        [--variants NAME …] [--seeds N] [--max-epochs N] [--store FOLDER]

FOLDER holds events.csv and items.csv. Prepares them and materialises `text_ablation`; prints its
verdict and tables. With --store, what was measured is kept there, and a repeated command goes on
where the last one ended.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import dagster as dg

from llmrec_assets.assets.studies import AblationConfig
from llmrec_assets.core.text_variants import VARIANTS
from llmrec_assets.definitions import defs
from llmrec_assets.layout import Layout
from llmrec_assets.resources.wiring import resources_of
from llmrec_assets.sql.s4_tables import FUSED_FEATURES
from llmrec_assets_tests.benchmarks.preparation import folder_parser, prepared

SHOWN = ("verdict", "scores", "ndcg_by_training_events_of_the_target", "default_by_seed")


def main(arguments: argparse.Namespace, root: Path) -> None:
    """Prepare, study, print."""
    layout = Layout(root)
    resources = resources_of(layout)
    if not resources["warehouse"].exists(FUSED_FEATURES.full_name):
        shutil.rmtree(layout.landing, ignore_errors=True)  # of a preparation that was killed
        prepared(layout, arguments.folder, arguments.events, arguments.k_core)
    config = AblationConfig(
        variants=arguments.variants, seeds=arguments.seeds, max_epochs=arguments.max_epochs
    )
    job = defs.resolve_job_def("study_texts")
    result = job.execute_in_process(
        resources=resources, run_config=dg.RunConfig({"text_ablation": config})
    )
    metadata = result.asset_materializations_for_node("text_ablation")[0].metadata
    for note in metadata["notes"].value:
        print(note)
    for name in SHOWN:
        if name in metadata:
            print(f"\n{name.replace('_', ' ')}\n\n{metadata[name].value}")
    sys.stdout.flush()


if __name__ == "__main__":
    parser = folder_parser(__doc__)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--max-epochs", type=int, default=AblationConfig().max_epochs)
    parser.add_argument("--store", type=Path)
    given = parser.parse_args()
    if given.store:
        main(given, given.store)
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(given, Path(folder))
