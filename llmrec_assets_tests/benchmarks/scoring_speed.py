"""What everybody's lists cost beside the matrix products that they cannot do without.

    python -m llmrec_assets_tests.benchmarks.scoring_speed [--users 1e5] [--items 5e4] [--k 20]

A network of the default configuration, untrained, over made-up histories; lists of the best items
that a user has not seen, by the way every list comes to be. One thread, CPU-seconds. The products
of a few blocks are recorded with their shapes: plain ones of the same shapes, timed in the same
run, are the limit. That of users by items alone is shown beside it, also in larger blocks, which
no list is made in. Then where the time goes.
"""

import argparse
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from llmrec_assets.core.blocks import MOST_ROWS, rows_of_lists
from llmrec_assets.core.config import ModelConfig
from llmrec_assets.core.lists import Hidden, ListSettings, lists_of, make_lists, recommend
from llmrec_assets.core.networks.model import NextItemModel
from llmrec_assets.core.networks.scoring import NetworkScorer
from llmrec_assets.core.ranking import best
from llmrec_assets.core.sequences import Sequences
from llmrec_assets_tests.benchmarks.cpu import cpu_seconds
from llmrec_assets_tests.benchmarks.training_speed import Products, made_up

HISTORY = 20  # events a user
BLOCKS = 5  # whose products are recorded, and whose parts are timed


def scorer_of(sequences: Sequences, n_items: int) -> NetworkScorer:
    """An untrained network that takes every item for known."""
    _, catalogue = made_up(1, HISTORY, n_items)
    model = NextItemModel(ModelConfig(), catalogue, sequences.n_numeric)
    model.counts[1:] = 1
    model.behavior_counts[1:] = 1
    return NetworkScorer(model)


def whole(scorer: NetworkScorer, sequences: Sequences, settings: ListSettings, block: int) -> float:
    """CPU-seconds of the lists of all users."""
    ids = [str(user) for user in range(sequences.n_users)]
    made = 0

    def make() -> None:
        nonlocal made
        for lists in make_lists(scorer, sequences, ids, settings, block=block):
            made += len(lists.codes)

    spent = cpu_seconds(make)
    assert made == sequences.n_users * settings.top_k
    return spent


def limit(scorer: NetworkScorer, sequences: Sequences, settings: ListSettings, block: int) -> float:
    """CPU-seconds a block of all its matrix products."""
    users, ids = np.arange(block), [str(user) for user in range(block)]
    with Products() as products:
        recommend(scorer, sequences, users, ids, settings, Hidden.none(sequences.n_users))
    return min(products.seconds() for _ in range(BLOCKS))


def by_items(scorer: NetworkScorer, rows: int) -> float:
    """CPU-seconds a user of the product of `rows` users by all items, without anything around."""
    width, columns = scorer.items_dV.shape
    users, scores = torch.randn(rows, width), torch.empty(rows, columns)
    product = partial(torch.mm, users, scorer.items_dV, out=scores)
    return min(cpu_seconds(product) for _ in range(2 * BLOCKS)) / rows


def parts(
    scorer: NetworkScorer, sequences: Sequences, settings: ListSettings, block: int
) -> dict[str, float]:
    """CPU-seconds a block of what making lists is made of."""
    users, ids = np.arange(block), [str(user) for user in range(block)]
    ends, hidden = sequences.offsets[users + 1], Hidden.none(sequences.n_users)
    logits = scorer.logits(sequences, ends, users)

    def least(act: Callable[[], object]) -> float:
        return min(cpu_seconds(act) for _ in range(BLOCKS))

    return {
        "scores": least(lambda: scorer.logits(sequences, ends, users)),
        "probabilities": least(lambda: logits.softmax(1)),
        "best items": least(lambda: best(logits, settings.top_k)),
        "lists of scores": least(lambda: lists_of(logits, sequences, users, ids, settings, hidden)),
    }


def main(n_users: int, n_items: int, k: int) -> None:
    """Print the cost, the limit and the parts."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    sequences, _ = made_up(n_users, HISTORY, n_items)
    scorer, block = scorer_of(sequences, n_items), rows_of_lists(n_items)
    settings = ListSettings(top_k=k, exclude_seen=True, exploration=0.0, seed=0)
    parts(scorer, sequences, settings, block)  # whatever is loaded once
    spent, blocks = whole(scorer, sequences, settings, block), n_users / block
    bare = {
        "matrix products of the same shapes": limit(scorer, sequences, settings, block) * blocks,
        f"users by items, {block} at a time": by_items(scorer, block) * n_users,
        f"users by items, {MOST_ROWS} at a time": by_items(scorer, MOST_ROWS) * n_users,
    }
    print(f"{n_users:,} lists of {k} of {n_items:,} items: {spent:.1f} CPU-s")
    for name, seconds in bare.items():
        print(f"bare {name:<36}{seconds:>8.1f} CPU-s: {seconds / spent:.2f} of it")
    for name, seconds in parts(scorer, sequences, settings, block).items():
        print(f"{name:<16}{seconds * blocks:>8.1f} CPU-s")


def _number(text: str) -> int:
    return int(float(text))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=_number, default=100_000)
    parser.add_argument("--items", type=_number, default=50_000)
    parser.add_argument("--k", type=int, default=20)
    given = parser.parse_args()
    main(given.users, given.items, given.k)
