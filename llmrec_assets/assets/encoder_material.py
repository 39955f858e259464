"""What an encoder of stage 3 is tuned on and judged by, read of the warehouse."""

import hashlib
from dataclasses import dataclass

import numpy as np

from llmrec_assets.assets import text_steps
from llmrec_assets.core.encoder_head import Pairs, consumed_together, tuned_name
from llmrec_assets.core.sequences import Catalogue
from llmrec_assets.core.splits import Split, global_time_split, hold_out_last, leave_one_out
from llmrec_assets.resources.arrays import Arrays
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.sql import s3_embeddings as embeddings_sql
from llmrec_assets.sql import text_histories
from llmrec_assets.sql.text_histories import TextHistories


@dataclass(frozen=True)
class Material:
    """What an encoder is tuned on and judged by."""

    histories: TextHistories
    catalogue: Catalogue  # the embeddings are those of the items, by code
    split: Split
    past: Split  # what pairs come from, and the targets that stop the tuning
    pairs: Pairs

    @property
    def vectors(self) -> np.ndarray:
        """The frozen ones, float32 [V+1, D], zero without text."""
        return self.catalogue.embeddings

    def version(self, base: str, kind: str, settings: str) -> str:
        """Named by a hash of all that tuning depends on."""
        digest = hashlib.sha256(settings.encode())
        for array in (vars(self.pairs) | {"vectors": self.vectors, **vars(self.past)}).values():
            digest.update(np.ascontiguousarray(array).tobytes())
        return tuned_name(base, kind, digest.hexdigest())


def read(warehouse: Warehouse, arrays: Arrays, base: str, window: int) -> Material:
    """Read histories and vectors; the pairs come from the training period of every protocol.

    So no event that any evaluation holds out is in a pair, neither each user's last two nor those
    after the cut of the global time split, and none of them stops the tuning.
    """
    with warehouse.connect() as connection:
        histories = text_histories.load(connection)
    sequences, n_items = histories.sequences, len(histories.text_keys)
    has_text = histories.has_text
    catalogue = Catalogue(
        n_items=n_items,
        text_rows=np.where(has_text, np.arange(n_items + 1), -1).astype(np.int32),
        embeddings=item_matrix(warehouse, arrays, histories, base),
        n_behaviors=1,
        word_offsets=histories.word_offsets,
        words=histories.words,
    )
    split = leave_one_out(sequences)
    end = split.train_end
    if not sequences.relative:
        end = np.minimum(end, global_time_split(sequences).train_end)
    past = hold_out_last(sequences, end)
    pairs = consumed_together(sequences, past.train_end, has_text, window)
    return Material(histories, catalogue, split, past, pairs)


def item_matrix(
    warehouse: Warehouse, arrays: Arrays, histories: TextHistories, encoder: str
) -> np.ndarray:
    """An encoder's vectors of the items, float32 [V+1, D], zero where an item has no text."""
    with warehouse.connect() as connection:
        places = embeddings_sql.item_vectors(connection, encoder)
    if not len(places["text_key"]):
        return np.zeros((len(histories.text_keys) + 1, 0), np.float32)
    gathered = text_steps.gather(arrays, places, encoder)
    row_of = {str(key): row for row, key in enumerate(places["text_key"])}
    matrix = np.zeros((len(histories.text_keys) + 1, gathered.shape[1]), np.float32)
    held = np.flatnonzero(histories.has_text)
    keys = [histories.text_keys[code - 1] for code in held]
    matrix[held] = gathered[[row_of[str(key)] for key in keys]]
    return matrix
