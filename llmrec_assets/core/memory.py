"""How much memory a fit will take, before it starts, and what to change where that is too much.

NumPy only: it is asked before anything heavy is loaded.
"""

from llmrec_assets.core.blocks import rows_of
from llmrec_assets.core.config import ModelConfig
from llmrec_assets.core.sequences import Catalogue, Sequences

_EXAMPLES = 20_000 * 220 * 32  # numbers that the reranker learns from, at most
_NUMBER = 4  # bytes of a float32
_ALLOWANCE = 50 << 20  # what the allocator holds beyond what it was asked for


class TooLittleMemory(Exception):
    """A fit would not fit; the message says how much it needs and what would."""


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
    block = items * rows_of(items, least=16)
    logits = max(3 * block, 3 * events * config.negatives)
    scoring = 16 * items * rows_of(items)  # by nine experts, masks and lists
    embedded = items * dimensions + 4 * len(catalogue.words)
    examples = min(_EXAMPLES, sequences.n_users * 220 * 32)
    own = sum(
        column.nbytes
        for column in (sequences.items, sequences.text_rows, sequences.times, sequences.numeric)
    )
    working = max(basis, activations + logits, scoring + embedded + examples)
    return _NUMBER * (table + reduced + working) + 8 * own + _ALLOWANCE


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
