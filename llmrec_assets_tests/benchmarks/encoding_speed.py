"""How fast each local text encoder is on one thread, and how close int8 stays to float32.

    python -m llmrec_assets_tests.benchmarks.encoding_speed [ITEMS_CSV_OR_FOLDER] [--texts N]
        [--passes N] [--encoders NAME ...]

Encodes N distinct titles of items.csv, or made-up ones of about 11 tokens without it. Prints
one row per encoder: texts per CPU-second (the best of the passes, models loaded before, so that
other programs on the machine count less), how many times that is the reference's, and for int8
the cosine of its vectors to float32's, mean and lowest, and the mean after the mean vector is
subtracted, as similarities are computed. The reference is `SentenceTransformer.encode` of MiniLM
with its own settings. Needs the extras english, e5 and int8.
"""

import os

# Before numpy and torch read them: one thread each.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.linalg import norm

from llmrec_assets.core import encoding
from llmrec_assets.resources.encoder import TextEncoder
from llmrec_assets.resources.encoder_files import float_model

MADE_UP = 4000
ENCODERS = ("minilm", "minilm-int8", "multilingual", "e5", "e5-int8", "bag_of_words")
PLAIN = "minilm, plain"
BATCH_SIZE = 64  # of the encoders of the package; the reference keeps its own 32
ADJECTIVES = ["red", "blue", "wireless", "portable", "organic", "classic", "soft", "vintage"]
NOUNS = ["earphones", "mixer", "shampoo", "shoes", "novel", "lamp", "backpack", "keyboard"]


def made_up_titles() -> list[str]:
    """Distinct titles of about 11 tokens."""
    chance = random.Random(0)
    titles: dict[str, None] = {}
    while len(titles) < MADE_UP:
        first, second = chance.sample(ADJECTIVES, 2)
        size = chance.randrange(10, 100)
        titles[f"{first} and {second} {chance.choice(NOUNS)}, {size} in a box"] = None
    return list(titles)


def titles_of(items: Path) -> list[str]:
    """Distinct titles of a data set, drawn at random."""
    file = items / "items.csv" if items.is_dir() else items
    titles = pd.read_csv(file, usecols=["title"], dtype=str)["title"].dropna().unique().tolist()
    random.Random(0).shuffle(titles)
    return titles


def measure(
    encoders: dict[str, Callable[[list[str]], np.ndarray]], texts: list[str], passes: int
) -> dict[str, tuple[float, np.ndarray]]:
    """Name → (texts per CPU-second, the vectors); the passes take turns."""
    seconds, vectors = {}, {}
    for encode in encoders.values():
        encode(texts[:BATCH_SIZE])
    for _ in range(passes):
        for name, encode in encoders.items():
            started = time.process_time()
            vectors[name] = encode(texts)
            took = time.process_time() - started
            seconds[name] = min(took, seconds.get(name, took))
    return {name: (len(texts) / seconds[name], vectors[name]) for name in encoders}


def main(arguments: argparse.Namespace) -> None:
    """Print the table."""
    import torch

    torch.set_num_threads(1)
    texts = titles_of(arguments.items) if arguments.items else made_up_titles()
    texts = texts[: arguments.texts]
    plain = encoding.load_folder(TextEncoder(model="minilm").folder())
    tokens = np.mean([len(ids) for ids in plain.tokenizer(texts)["input_ids"]])
    print(f"{len(texts)} titles of {tokens:.1f} tokens on average, one thread\n")
    with tempfile.TemporaryDirectory() as made:
        encoders = {PLAIN: lambda some: plain.encode(some, normalize_embeddings=True)} | {
            name: TextEncoder(model=name, batch_size=BATCH_SIZE, made=made).encoder().encode
            for name in arguments.encoders
        }
        measured = measure(encoders, texts, arguments.passes)
    print(f"{'encoder':15}{'texts/CPU-s':>12}{'ratio':>8}{'cosine':>9}{'lowest':>9}{'centred':>9}")
    for name, (speed, vectors) in measured.items():
        row = f"{name:15}{speed:12.0f}{speed / measured[PLAIN][0]:8.1f}"
        exact = measured.get(float_model(name) or "")
        if exact:
            cosines = (vectors * exact[1]).sum(axis=1)
            sides = [side - exact[1].mean(axis=0) for side in (vectors, exact[1])]
            centred = np.prod(sides, axis=0).sum(axis=1) / np.prod(norm(sides, axis=2), axis=0)
            row += f"{cosines.mean():9.4f}{cosines.min():9.4f}{centred.mean():9.4f}"
        print(row)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("items", type=Path, nargs="?")
    parser.add_argument("--texts", type=int, default=4000)
    parser.add_argument("--passes", type=int, default=2)
    parser.add_argument("--encoders", nargs="+", default=list(ENCODERS))
    main(parser.parse_args())
