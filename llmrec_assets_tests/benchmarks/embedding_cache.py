"""What text_features costs where most texts have a vector already.

    python -m llmrec_assets_tests.benchmarks.embedding_cache [--items N] [--cases CASE ...]

Makes a store of N items with a title each and one behaviour with each (so 2 N texts), and random
vectors under the name of the bilingual encoder. Then, in a process of its own each: a rerun with
nothing new, one with a changed title, one with another encoder (bag of words). Prints the seconds
of the asset's own work (the definitions are loaded before), CPU-seconds, how many vectors were
encoded, and whether sentence_transformers was imported; then the bilingual encoder's rate.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import dagster as dg
import numpy as np

from llmrec_assets.assets import s3_embeddings, text_steps
from llmrec_assets.layout import Layout
from llmrec_assets.resources.encoder import TextEncoder
from llmrec_assets.resources.engine import Engine
from llmrec_assets.resources.wiring import resources_of
from llmrec_assets.sql.s2_tables import HISTORY_TEXTS

TITLES = """
create schema s2_sequences;
create table s2_sequences.item_texts as
select i::varchar as item_id, title, title as text from (
    select i, concat_ws(
        ' ', brands[1 + i % 5], nouns[1 + i % 7], 'model', i, 'for', uses[1 + i % 3]) as title
    from (select ['Acme', 'Borealis', 'Corvo', 'Dune', '云雀'] as brands,
        ['earphones', 'stand mixer', 'shampoo', 'running shoes', 'desk lamp', 'backpack', '键盘']
        as nouns, ['home use', 'travel', 'children'] as uses), range(?) as numbers(i)
);
"""
STEPS = """
create table s2_sequences.step_texts as
select 'buy' as behavior, item_id, '' as details, 'buy ' || text as text
from s2_sequences.item_texts;
"""
CHANGE = """
update s2_sequences.item_texts set title = 'New title', text = 'New title' where item_id = '7'
"""
CASES = {"nothing new": "multilingual", "one title": "multilingual", "new encoder": "bag_of_words"}
RATE_TEXTS = 2000


class RandomVectors:
    """Takes the place of an encoder where only the cache is measured."""

    def encode(self, texts: list[str]) -> np.ndarray:
        """float32 [n, 512], rows of unit length."""
        vectors = np.random.default_rng(len(texts)).normal(size=(len(texts), 512))
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def fill(layout: Layout, items: int) -> list[str]:
    """Make the store; some of its titles."""
    resources = resources_of(layout)
    warehouse, arrays, name = resources["warehouse"], resources["arrays"], TextEncoder().name()
    with warehouse.connect() as connection:
        connection.execute(TITLES, [items])
        connection.execute(STEPS)
        HISTORY_TEXTS.create(connection)
    resources["registry"].alias("champion")  # makes the registry, which a store in use has
    text_steps.encode_new(warehouse, arrays, name, RandomVectors, lambda _line: None)
    text_steps.assemble(warehouse, arrays, name, lambda: 512)
    query = "select text from s2_sequences.item_texts order by hash(text) limit ?"
    return warehouse.read(query, [RATE_TEXTS])["text"].tolist()


def measure(root: Path, model: str) -> dict[str, object]:
    """Materialise text_features in this process: what it took."""
    from llmrec_assets import definitions

    assert definitions.defs.resolve_asset_graph()
    resources = resources_of(Layout(root))
    names = ("warehouse", "arrays", "encoder_registry", "registry")
    wanted = {name: resources[name] for name in names}
    context, encoder = dg.build_asset_context(), TextEncoder(model=model)
    started, cpu = time.perf_counter(), time.process_time()
    result = s3_embeddings.text_features(context, **wanted, encoder=encoder, engine=Engine())
    assert isinstance(result, dg.MaterializeResult)
    metadata = result.metadata or {}
    return {
        "seconds": time.perf_counter() - started,
        "cpu": time.process_time() - cpu,
        "encoded": metadata["newly_encoded"],
        "texts": metadata["texts"],
        "imported": "sentence_transformers" in sys.modules,
    }


def main(items: int, cases: list[str]) -> None:
    """Print a row per case, then the rate."""
    with tempfile.TemporaryDirectory() as root:
        titles = fill(Layout(Path(root)), items)
        print(f"{'':14}{'seconds':>9}{'CPU-s':>9}{'encoded':>9}{'of':>9}  sentence_transformers")
        for case in cases:
            if case == "one title":
                with resources_of(Layout(Path(root)))["warehouse"].connect() as connection:
                    connection.execute(CHANGE)
            command = [sys.executable, "-m", __spec__.name, "--measure", root, CASES[case]]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
            row = json.loads(done.stdout.splitlines()[-1])
            print(
                f"{case:14}{row['seconds']:9.2f}{row['cpu']:9.2f}{row['encoded']:9}"
                f"{row['texts']:9}  {'imported' if row['imported'] else 'not imported'}",
                flush=True,
            )
    encoder = TextEncoder().encoder()
    encoder.encode(titles[:64])
    started = time.process_time()
    encoder.encode(titles)
    print(f"bilingual: {len(titles) / (time.process_time() - started):.0f} texts a CPU-second")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--measure", nargs=2, metavar=("ROOT", "MODEL"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(Path(arguments.measure[0]), arguments.measure[1])))
    else:
        main(arguments.items, arguments.cases)
