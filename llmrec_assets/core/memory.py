"""How much memory a fit will take, before it starts, and what to change where that is too much.

NumPy only: it is asked before anything heavy is loaded.
"""

import numpy as np

from llmrec_assets.core.blocks import rows_of
from llmrec_assets.core.config import ModelConfig
from llmrec_assets.core.counting import MOST_TIES, NEAR, pairs_within
from llmrec_assets.core.sequences import Catalogue, Sequences

_TARGETS, _CANDIDATES, _FEATURES = 20_000, 220, 24  # that the reranker learns from, at most
_NUMBER = 4  # bytes of a float32
_TIE = 12  # bytes of an entry of a sparse matrix
_POSITION = 16  # bytes of what is computed of every event at once
_ALLOWANCE = 80 << 20  # what is loaded on first use, and what the allocator holds on to


class TooLittleMemory(Exception):
    """A fit would not fit; the message says how much it needs and what would."""


def estimate_memory(config: ModelConfig, sequences: Sequences, catalogue: Catalogue) -> int:
    """Bytes that a fit and the learning of its weights add to the process with its libraries."""
    training = training_memory(config, sequences, catalogue)
    return max(training, ranking_memory(config, sequences, catalogue, sequences.n_users))


def training_memory(config: ModelConfig, sequences: Sequences, catalogue: Catalogue) -> int:
    """Bytes that fitting the network adds."""
    items, width = catalogue.n_items + 1, config.width
    texts, dimensions = catalogue.embeddings.shape
    # Ids with gradient and two moments, the best epoch's and an earlier fit's copy, item vectors
    # of training and validation, and their gradient.
    table = 9 * items * width
    reduced = 2 * (texts + items if texts else 0) * min(config.text_width, dimensions)
    basis = 4 * min(texts, items) * dimensions  # double precision, centred beside raw
    events = config.batch_events + config.max_length
    activations = events * (width * (30 + 20 * config.layers) + 4 * sequences.n_numeric)
    if config.network == "transformer":
        activations += 6 * config.layers * config.heads * events * config.max_length
    logits = 2 * items * rows_of(items, least=16)
    if config.objective == "sampled_softmax":
        logits = max(2 * items * rows_of(items), 3 * events * config.negatives)
    working = max(basis, activations + logits)
    return _NUMBER * (table + reduced + working) + _read(sequences)


def ranking_memory(
    config: ModelConfig, sequences: Sequences, catalogue: Catalogue, targets: int
) -> int:
    """Bytes that experts, the weights learnt from so many `targets`, and ranking add."""
    items, width = catalogue.n_items + 1, config.width
    texts, dimensions = catalogue.embeddings.shape
    # Two fits' ids, item vectors and the copy that they are made from.
    network = 4 * items * width
    reduced = 2 * (texts + items if texts else 0) * min(config.text_width, dimensions)
    compared = 2 * items * dimensions if texts else 0
    experts = 3 + bool(texts) + bool(len(catalogue.words))
    # The prior's experts' scores, the same less their means, and what a blend needs.
    scores = (2 * experts + 6) * items * rows_of(items)
    examples = min(_TARGETS, targets) * min(_CANDIDATES, items) * _FEATURES
    near, next_ones = (min(MOST_TIES, pairs_within(sequences, steps)) for steps in (NEAR, 10))
    counted = _TIE * (7 * near + 4 * next_ones) + 40 * len(catalogue.words)
    numbers = network + reduced + compared + scores + examples
    return _NUMBER * numbers + counted + _read(sequences)


def _read(sequences: Sequences) -> int:
    """Bytes of the events, read and worked on, and the allowance; not of what lies in files."""
    columns = (sequences.items, sequences.text_rows, sequences.times, sequences.numeric)
    held = sum(column.nbytes for column in columns if not isinstance(column, np.memmap))
    return 3 * held + _POSITION * len(sequences.items) + _ALLOWANCE


def require_memory(
    config: ModelConfig, sequences: Sequences, catalogue: Catalogue, available: int
) -> int:
    """The estimate, if that many bytes are available.

    Raises:
        TooLittleMemory: it proposes the first smaller setting that would fit.
    """
    needed = estimate_memory(config, sequences, catalogue)
    if needed <= available:
        return needed
    advice = "no smaller setting fits: give it more memory, or fewer items"
    for changes in _smaller(config):
        smaller = config.model_copy(update=changes)
        if estimate_memory(smaller, sequences, catalogue) <= available:
            wanted = ", ".join(f"{name}={value}" for name, value in changes.items())
            advice = f"it would fit with {wanted}"
            break
    raise TooLittleMemory(
        f"training on {catalogue.n_items} items needs about {needed / 1e6:.0f} MB, but only"
        f" {available / 1e6:.0f} MB are available; {advice}"
    )


def _smaller(config: ModelConfig) -> list[dict[str, int]]:
    """Changes that save memory, the least harmful first."""
    changes, steps = {}, []
    for name, least in (("batch_events", 128), ("text_width", 32), ("width", 16)):
        value = getattr(config, name) // 2
        while value >= least:
            changes = changes | {name: value}
            steps.append(changes)
            value //= 2
    return steps
