"""How much memory a fit will take, before it starts.

NumPy only: it is asked before anything heavy is loaded.
"""

from llmrec_assets.core.config import ModelConfig
from llmrec_assets.core.sequences import Catalogue, Sequences

_BLOCK = 256  # positions, or users in validation, whose scores are held at a time
_NUMBER = 4  # bytes of a float32
_ALLOWANCE = 50 << 20  # what the allocator holds beyond what it was asked for


def estimate_memory(config: ModelConfig, sequences: Sequences, catalogue: Catalogue) -> int:
    """Bytes that a fit adds to the process, without the libraries: an upper-side estimate."""
    items, width = catalogue.n_items + 1, config.width
    texts, dimensions = catalogue.embeddings.shape
    # Ids with gradient and two moments, the best epoch's copy, item vectors and their gradient.
    table = 8 * items * width
    reduced = texts * min(config.text_width, dimensions) * 2 + items * config.text_width * 2
    basis = 2 * min(texts, items) * dimensions * 2  # double precision, centred beside raw
    events = config.batch_events + config.max_length
    activations = events * (width * (30 + 20 * config.layers) + 4 * sequences.n_numeric)
    if config.network == "transformer":
        activations += 6 * config.layers * config.heads * events * config.max_length
    logits = max(_BLOCK * items * 3, events * config.negatives * 3)
    validation = 12 * _BLOCK * items  # a block of users: scores, masks and lists
    own = sum(
        column.nbytes
        for column in (sequences.items, sequences.text_rows, sequences.times, sequences.numeric)
    )
    working = max(basis, activations + logits) + validation
    return _NUMBER * (table + reduced + working) + own + _ALLOWANCE
