"""Small made-up data for the tests of the core."""

import numpy as np

from llmrec_assets.core.config import ModelConfig
from llmrec_assets.core.sequences import Catalogue, Sequences


def sequences_of(
    users: list[list[int]],
    times: list[list[int]] | None = None,
    positive: list[list[bool]] | None = None,
    n_numeric: int = 0,
) -> Sequences:
    """Sequences of item codes; an item's text is the row before its code, as in `catalogue`."""
    items = np.array([item for user in users for item in user], dtype=np.int32)
    steps = [list(range(len(user))) for user in users]
    flags = [[True] * len(user) for user in users]
    rng = np.random.default_rng(7)
    numeric = rng.normal(size=(len(items), n_numeric)).astype(np.float32)
    if n_numeric:
        numeric[::3] = np.nan
    return Sequences(
        offsets=np.cumsum([0, *(len(user) for user in users)]).astype(np.int64),
        items=items,
        behaviors=np.ones(len(items), dtype=np.int16),
        text_rows=(items - 1).astype(np.int32),
        numeric=numeric,
        times=np.array([t for user in times or steps for t in user], dtype=np.int64),
        weights=np.ones(len(items), dtype=np.float32),
        positive=np.array([flag for user in positive or flags for flag in user], dtype=bool),
    )


def random_sequences(
    seed: int, n_users: int = 40, n_items: int = 8, longest: int = 12, moments: int = 30
) -> Sequences:
    """Histories with items that recur, equal time stamps, dislikes, and users without events."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, longest + 1, n_users)
    return sequences_of(
        [rng.integers(1, n_items + 1, n).tolist() for n in lengths],
        [np.sort(rng.integers(0, moments, n)).tolist() for n in lengths],
        [(rng.random(n) < 0.8).tolist() for n in lengths],
    )


def with_another_future(
    sequences: Sequences, ends: np.ndarray, seed: int
) -> tuple[Sequences, np.ndarray]:
    """The same events of each user before `ends`, but others, and not as many, from there on.

    Returns:
        The sequences and where the ends lie in them.
    """
    rng = np.random.default_rng(seed)
    users, times, positive = [], [], []
    n_items = int(sequences.items.max())
    for start, end in zip(sequences.starts, ends, strict=True):
        n = int(rng.integers(0, 5))
        kept = slice(start, end)
        now = int(sequences.times[kept].max(initial=0))
        users.append([*sequences.items[kept].tolist(), *rng.integers(1, n_items + 1, n).tolist()])
        times.append([*sequences.times[kept].tolist(), *range(now, now + n)])
        positive.append([*sequences.positive[kept].tolist(), *(rng.random(n) < 0.5).tolist()])
    other = sequences_of(users, times, positive)
    return other, other.starts + ends - sequences.starts


def catalogue(n_items: int, dimensions: int = 8, text: bool = True) -> Catalogue:
    """A catalogue whose texts are random directions."""
    embeddings = np.random.default_rng(3).normal(size=(n_items, dimensions)).astype(np.float32)
    rows = np.arange(-1, n_items, dtype=np.int32)
    if not text:
        return Catalogue(n_items, np.full(n_items + 1, -1, np.int32), embeddings[:0], 2)
    return Catalogue(n_items, rows, embeddings, 2)


def cycles(n_items: int = 6, n_users: int = 60, length: int = 9) -> Sequences:
    """Everybody walks the same circle of items, each from another place: 1, 2, …, V, 1, …"""
    return sequences_of(
        [[(start + step) % n_items + 1 for step in range(length)] for start in range(n_users)],
        n_numeric=2,
    )


def small(**choices: object) -> ModelConfig:
    """A model that trains in a second."""
    defaults: dict[str, object] = {
        "width": 16,
        "text_width": 4,
        "max_length": 8,
        "batch_events": 64,
        "learning_rate": 0.02,
        "max_epochs": 25,
        "patience": 25,
        "hide_seen": False,  # of the circle everybody has seen everything
        "dropout": 0.0,
        "threads": 1,
    }
    return ModelConfig.model_validate(defaults | choices)
