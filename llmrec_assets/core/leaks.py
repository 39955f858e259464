"""What the evaluation fit could have seen of its own targets: counts that must all be zero."""

import numpy as np

from llmrec_assets.core.counting import occurrences
from llmrec_assets.core.networks.model import NextItemModel
from llmrec_assets.core.sequences import Catalogue, Sequences
from llmrec_assets.core.splits import Split


def leaks_of_split(sequences: Sequences, split: Split, called_train: np.ndarray) -> dict[str, int]:
    """Targets that lie in the training period or in their own history.

    Args:
        sequences: the events.
        split: what the fit was given.
        called_train: bool [N], events that statistics may be taken from.
    """
    owners = np.repeat(np.arange(sequences.n_users), np.diff(sequences.offsets))
    trained = np.arange(len(owners)) < split.train_end[owners]
    last_two = np.maximum(sequences.starts, sequences.offsets[1:] - 2)
    backwards = (np.diff(sequences.times) < 0) & (owners[1:] == owners[:-1])
    return {
        "targets_in_training": sum(
            int(((targets >= 0) & (targets < split.train_end)).sum())
            for targets in (split.validation, split.test)
        ),
        "targets_of_another_user": sum(
            int((owners[targets[users]] != users).sum())
            for targets in (split.validation, split.test)
            for users in [np.flatnonzero(targets >= 0)]
        ),
        "test_targets_before_validation": int(
            ((split.test >= 0) & (split.validation >= split.test)).sum()
        ),
        "last_two_events_in_training": int((split.train_end > last_two).sum()),
        "held_out_events_called_train": int((called_train & ~trained).sum()),
        "events_out_of_order": int(backwards.sum()),
    }


def leaks_of_model(
    model: NextItemModel, sequences: Sequences, catalogue: Catalogue, train_end: np.ndarray
) -> dict[str, int]:
    """What the network's vocabulary, negative sampler and text basis hold beyond training.

    The sampler draws by the same counts that say which items and behaviours are known.
    """
    leaks = {}
    for name, counts, codes in (
        ("items", model.counts, sequences.items),
        ("behaviors", model.behavior_counts, sequences.behaviors),
    ):
        true = occurrences(sequences, codes, train_end, len(counts))
        beyond = counts.numpy() - true
        leaks[f"{name}_counted_beyond_training"] = int(beyond.clip(min=0).sum())
    if model.has_text:
        items = occurrences(sequences, sequences.items, train_end, len(model.counts)).nonzero()[0]
        rows = np.unique(catalogue.text_rows[items])
        mean = np.asarray(catalogue.embeddings[rows[rows >= 0]], dtype=np.float64).mean(0)
        moved = np.abs(model.text.mean.numpy() - mean) > 1e-4
        leaks["text_dimensions_centred_beyond_training"] = int(moved.sum())
    return leaks
