"""Whether the events that an explanation names are those that the recommendation hangs on.

    python -m llmrec_assets_tests.benchmarks.faithfulness FOLDER [--events FILE] [--k-core N]
        [--users N] [--epochs N] [--encoder NAME] [--seed N]

FOLDER holds events.csv and items.csv. Fits what would serve without each user's last two events and
explains to drawn users the item that it finds likeliest of those they have not had. Then deletes
the 1, 2 and 3 events that speak most for it, or as many random ones of the same newest 50, and asks
again. Prints, over users, how much further the named events take the item's log-probability down
than random ones do, with the 95 % interval of the paired bootstrap, and how often the item is no
longer the likeliest. One event alone is the one found by deleting it, so that its lead in
log-probability says little; that two and three together lead is no matter of course.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from llmrec_assets.core.config import ModelConfig
from llmrec_assets.core.intervals import mean_intervals
from llmrec_assets.core.occlusion import log_probabilities_without, occlusion
from llmrec_assets.core.ranking import top_k
from llmrec_assets.core.recommender import Recommender
from llmrec_assets.core.sequences import Sequences
from llmrec_assets.core.splits import leave_one_out
from llmrec_assets.layout import Layout
from llmrec_assets_tests.benchmarks.preparation import folder_parser, prepared, served

SIZES = (1, 2, 3)  # events that are deleted
DRAWS = 5  # random sets of each size
SHORTEST = 2 * max(SIZES)  # events of a history, so that random ones can be others


def falls(
    scorer: Recommender, sequences: Sequences, user: int, end: int, rng: np.random.Generator
) -> np.ndarray:
    """What a user's item loses: float64 [size, named or random, fall in nats or place lost]."""
    span = (int(sequences.offsets[user]), end)
    ends, users = np.array([end]), np.array([user])
    code = int(top_k(scorer, sequences, users, 1, ends).codes[0, 0])
    found = occlusion(scorer, sequences, span, np.array([code]))
    named = found.positions[np.argsort(-found.effects[:, 0], kind="stable")]
    sets = [named[:size].tolist() for size in SIZES]
    for size in SIZES:
        drawn = [rng.choice(found.positions, size, replace=False) for _ in range(DRAWS)]
        sets += [one.tolist() for one in drawn]
    seen = sequences.items[slice(*span)]
    unseen = np.setdiff1d(np.arange(1, scorer.experts.n_items + 1), seen)
    scored = log_probabilities_without(scorer, sequences, span, sets, unseen)
    own = scored[:, unseen == code][:, 0]
    outcome = np.stack([own[0] - own[1:], scored[1:].max(1) > own[1:]], axis=1)
    n = len(SIZES)
    return np.stack([outcome[:n], outcome[n:].reshape(n, DRAWS, 2).mean(1)], axis=1)


def main(arguments: argparse.Namespace) -> None:
    """Fit, explain, delete, and print."""
    with tempfile.TemporaryDirectory() as root:
        chosen = (arguments.folder, arguments.events, arguments.k_core, arguments.encoder)
        data = prepared(Layout(Path(root)), *chosen)
        sequences, targets = data.sequences, leave_one_out(data.sequences).test
        scorer = served(data, ModelConfig(max_epochs=arguments.epochs, seed=arguments.seed))
        rng = np.random.default_rng(arguments.seed)
        users = np.flatnonzero(targets - sequences.starts >= SHORTEST)
        users = rng.permutation(users)[: arguments.users]
        started = time.process_time()
        found = np.array([falls(scorer, sequences, u, int(targets[u]), rng) for u in users])
        seconds = time.process_time() - started
    each = seconds / len(users)
    print(f"{len(users)} users, {data.catalogue.n_items} items, {each:.2f} CPU-s each")
    for index, size in enumerate(SIZES):
        for measure, name in enumerate(("fall in nats", "share no longer likeliest")):
            named, random = found[:, index, :, measure].T
            mean, lower, upper = mean_intervals((named - random)[:, None])[0]
            print(
                f"{size} deleted, {name}: named {named.mean():.3f}, random {random.mean():.3f},"
                f" more by {mean:+.3f} [{lower:+.3f}, {upper:+.3f}]"
            )


if __name__ == "__main__":
    parser = folder_parser(__doc__)
    parser.add_argument("--users", type=int, default=300)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--encoder", help="as in LLMREC_ENCODER")
    parser.add_argument("--seed", type=int, default=0)
    main(parser.parse_args())
