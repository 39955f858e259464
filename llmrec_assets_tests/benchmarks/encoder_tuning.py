"""Is an encoder better tuned? Test NDCG@10 with its frozen and its tuned vectors.

    python -m llmrec_assets_tests.benchmarks.encoder_tuning FOLDER [--encoder NAME]
        [--tuning head lora full] [--steps N] [--events FILE] [--k-core N]

FOLDER holds events.csv and items.csv. Nothing that is tuned sees a validation or test target of any
protocol. All items are ranked but those of the history ("masked"), for every user's last event: by
text alone, and by counting, words and text together, whose powers are learnt on the validation
targets. Prints both sides, the 95 % interval of their difference paired by user, and CPU-seconds;
of every further way of tuning also against the first.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from llmrec_assets.assets import encoder_material, text_steps
from llmrec_assets.assets.encoder_kinds import Tuning
from llmrec_assets.assets.encoder_material import Material
from llmrec_assets.assets.s3_embeddings import TuningConfig
from llmrec_assets.core.encoder_gain import blend_gain, text_gain
from llmrec_assets.core.reproducible import reproducible
from llmrec_assets.layout import Layout
from llmrec_assets.resources.encoder import TextEncoder
from llmrec_assets_tests.benchmarks.preparation import folder_parser, materialised


def told(line: str) -> None:
    """Print with the CPU-seconds of the process."""
    print(f"[{time.process_time():.0f}] {line}", flush=True)


def main(arguments: argparse.Namespace) -> None:
    """Tune in every way and judge on the test targets."""
    with tempfile.TemporaryDirectory() as root:
        assets = ["user_sequences", "clean_events"]
        layout = Layout(Path(root))
        resources = materialised(
            layout, arguments.folder, assets, arguments.events, arguments.k_core
        )
        store = resources["warehouse"], resources["arrays"]
        encoder = TextEncoder(model=arguments.encoder, made=str(layout.encoders))
        name, started = encoder.name(), time.process_time()
        text_steps.encode_new(*store, name, encoder.encoder, told, items_alone=True)
        encoding, sides = time.process_time() - started, {}
        for tuning in arguments.tuning:
            steps = {"transformer_steps": arguments.steps} if arguments.steps else {}
            config = TuningConfig(tuning=tuning, **steps)
            material = encoder_material.read(*store, name, config.window)
            print(f"\n{arguments.folder.name}, {name}, {tuning}: {len(material.pairs)} pairs")
            print(f"encoding items {encoding:.0f} CPU-s")
            sides[tuning] = tuned(material, config.way(*store, encoder), config.threads, name)
            report("frozen", material, material.vectors, sides[tuning])
            if len(sides) > 1:
                first = arguments.tuning[0]
                report(first, material, sides[first], sides[tuning])


def tuned(material: Material, way: Tuning, threads: int, base: str) -> np.ndarray:
    """The items' tuned vectors; prints how the tuning went."""
    with tempfile.TemporaryDirectory() as learnt, reproducible(way.seed, threads):
        started = time.process_time()
        course = way.train(material, Path(learnt), told)
        trained = time.process_time()
        version = material.version(base, way.kind, "benchmark")
        vectors, _ = way.apply(material, version, Path(learnt), told)
        print(f"best of validation: step {course.best_step} of {course.curve}")
        print(
            f"tuning {trained - started:.0f} CPU-s, tuned vectors"
            f" {time.process_time() - trained:.0f} CPU-s"
        )
    return vectors


def report(first: str, material: Material, one: np.ndarray, two: np.ndarray) -> None:
    """Print what the second vectors gain over the first ones on the test targets."""
    split = material.split
    span = (material.catalogue, material.histories.sequences, split.train_end)
    gains = {
        "text alone": text_gain(*span, split.test, one, two),
        "beside counting": blend_gain(*span, split.validation, split.test, one, two),
    }
    for name, gain in gains.items():
        print(
            f"{name}: {first} {gain.frozen:.4f}, this {gain.tuned:.4f}, difference"
            f" {gain.tuned - gain.frozen:+.4f} [{gain.lower:+.4f}, {gain.upper:+.4f}],"
            f" {gain.users} users",
            flush=True,
        )


if __name__ == "__main__":
    parser = folder_parser(__doc__)
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--tuning", nargs="+", default=["head"], choices=("head", "lora", "full"))
    parser.add_argument("--steps", type=int, default=0, help="Of lora and full.")
    main(parser.parse_args())
