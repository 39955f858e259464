"""What tuning an encoder reads: who consumed what in which order, and the text of every item.

The fused features come after the encoder, so this reads the cleaned events themselves. Item codes
follow the order of the ids, from 1.
"""

from dataclasses import dataclass

import duckdb
import numpy as np

from llmrec_assets.core.encoding import hashed_words
from llmrec_assets.core.sequences import Sequences
from llmrec_assets.sql.s2_tables import CLEAN_EVENTS, ITEM_TEXTS
from llmrec_assets.sql.tables import read_columns

ITEMS = f"""
select row_number() over (order by item_id) as item_code, item_id, text, md5(text) as text_key
from {ITEM_TEXTS.full_name}
"""

STEPS = f"""
select dense_rank() over (order by user_id) - 1 as user_code, item_code, time, positive, weight,
    events.timestamp is null as relative, seq
from {CLEAN_EVENTS.full_name} as events join ({ITEMS}) using (item_id)
order by user_code, time, seq
"""


@dataclass(frozen=True)
class TextHistories:
    """Sequences without features, and of every item (code c at c - 1) its text."""

    sequences: Sequences
    text_keys: list[str | None]
    texts: list[str | None]
    word_offsets: np.ndarray  # as in Catalogue
    words: np.ndarray
    through: int  # newest ingestion sequence number

    @property
    def has_text(self) -> np.ndarray:
        """bool [V+1]."""
        return np.array([False, *(key is not None for key in self.text_keys)])


def load(connection: duckdb.DuckDBPyConnection) -> TextHistories:
    """Read the clean events by user in order, and the items' texts."""
    columns = read_columns(connection, STEPS)
    items = connection.execute(f"select text, text_key from ({ITEMS}) order by item_code")
    texts, keys = map(list, zip(*items.fetchall(), strict=True)) if items else ([], [])
    users = columns["user_code"]
    n = len(users)
    sequences = Sequences(
        offsets=np.searchsorted(users, np.arange(int(users.max(initial=-1)) + 2)).astype(np.int64),
        items=columns["item_code"].astype(np.int32),
        behaviors=np.ones(n, np.int16),
        text_rows=np.full(n, -1, np.int32),
        numeric=np.zeros((n, 0), np.float32),
        times=columns["time"].astype(np.int64),
        positive=columns["positive"].astype(bool),
        weights=columns["weight"].astype(np.float32),
        relative=bool(columns["relative"].any()),
    )
    offsets, words = hashed_words(["", *(text or "" for text in texts)])
    through = int(columns["seq"].max(initial=0))
    return TextHistories(sequences, keys, texts, offsets, words, through)
