"""The embedded demo: a generated shop in a root of its own, and simulated answers to its lists."""

import os
from pathlib import Path

import pandas as pd

from llmrec_assets.datasets import shop, simulator
from llmrec_assets.datasets.shop import Shop
from llmrec_assets.layout import Layout

GENERATED = ("shop-events.csv", "shop-items.csv")
EXPLORATION = ("LLMREC_EXPLORATION", "0.1")  # unlike on real data, nobody minds
RETURNED = ("simulated-feedback-", "returned-feedback-")


class ForeignFiles(Exception):
    """The demo's landing zone holds files that the demo did not write."""


def prepare(layout: Layout, seed: int) -> Shop:
    """Write the shop's files into the landing zone of a demo root, and let its lists explore.

    Raises:
        ForeignFiles: somebody else's files are there: responses are never simulated for them.
    """
    foreign = [
        path.name
        for folder in (layout.landing_events, layout.landing_items, layout.landing_feedback)
        if folder.is_dir()
        for path in folder.iterdir()
        if path.name not in GENERATED and not path.name.startswith((".", *RETURNED))
    ]
    if foreign:
        raise ForeignFiles(
            f"{layout.landing} holds files that the demo did not write ({', '.join(foreign[:3])}):"
            " the demo simulates feedback, so it takes only its own shop. Move them to a data root"
            " of yours and run: llmrec run"
        )
    os.environ.setdefault(*EXPLORATION)
    generated = shop.generate(seed)
    mark = layout.demo_seed
    if mark.is_file() and mark.read_text() != str(seed):
        raise ForeignFiles(
            f"{layout.root} holds the shop of seed {mark.read_text()}: remove that folder first"
        )
    layout.root.mkdir(parents=True, exist_ok=True)
    mark.write_text(str(seed))
    shop.write_landing(generated, layout.landing_events, layout.landing_items)
    return generated


def answer_lists(layout: Layout, generated: Shop, seed: int) -> Path:
    """Let the simulator answer the published lists; the file of feedback it wrote."""
    lists = pd.read_parquet(layout.recommendations)
    at = pd.Timestamp(generated.events["timestamp"].max()) + pd.Timedelta(hours=1)
    answers = simulator.simulate_responses(lists, generated.truth, seed, at)
    return simulator.write_feedback(answers, layout.landing_feedback)
