"""Stage 3 in SQL: which texts there are, which have a vector, and which matrix is current."""

import hashlib
from collections.abc import Callable

import duckdb
import numpy as np
import pyarrow as pa

from llmrec_assets.sql.tables import Column, Table, read_columns

SCHEMA = "s3_embeddings"
SEQUENCES = "s2_sequences.user_sequences"
RAW = "s1_raw_events.raw_events"
CLEAN = "s2_sequences.clean_events"

TEXT_VECTORS = Table(
    SCHEMA,
    "text_vectors",
    (
        Column("encoder", "varchar", "Name of the encoder."),
        Column("text_key", "varchar", "Hash of the text."),
        Column("part", "varchar", "File of the arrays that holds the vector."),
        Column("part_row", "integer", "Its row there."),
    ),
    primary_key=("encoder", "text_key"),
)

TEXT_FEATURES = Table(
    SCHEMA,
    "text_features",
    (
        Column("kind", "varchar", "item: the item's text; step: a behaviour with the item."),
        Column("behavior", "varchar", "Null for an item.", (f"{CLEAN}.behavior",)),
        Column("item_id", "varchar", "The item.", (f"{CLEAN}.item_id",)),
        Column("details", "varchar", "Of a step: rating and review in words; empty without any.",
               (f"{CLEAN}.rating", f"{RAW}.text"), private=True),
        Column(
            "text", "varchar", "What was encoded.", (f"{SEQUENCES}.history_text",), private=True
        ),
        Column("text_key", "varchar", "Hash of the text."),
        Column("encoder", "varchar", "Name of the encoder."),
        Column("embedding_row", "integer", "Row of the vector in the matrix."),
    ),
)  # fmt: skip

MATRICES = Table(
    SCHEMA,
    "matrices",
    (
        Column("encoder", "varchar", "Name of the encoder."),
        Column("file", "varchar", "File of the arrays: float32 [texts, dimension]."),
        Column("texts", "bigint", "Rows."),
    ),
)

TEXTS = """
select 'item' as kind, null as behavior, item_id, '' as details, text, md5(text) as text_key
from s2_sequences.item_texts where text is not null
union all
select 'step', behavior, item_id, details, text, md5(text)
from s2_sequences.step_texts where text is not null
"""

NEW_TEXTS = f"""
select distinct text_key, text from ({TEXTS})
where text_key not in (select text_key from {TEXT_VECTORS.full_name} where encoder = ?)
order by length(text), text_key
"""

PLACES = f"""
select text_key, part, part_row from {TEXT_VECTORS.full_name}
where encoder = ? and text_key in (select text_key from ({TEXTS})) order by text_key
"""

# Rows of the matrix follow the order of the keys, never that of the rows of a table.
FEATURES = f"""
with numbered as (
    select text_key, row_number() over (order by text_key) - 1 as embedding_row
    from (select distinct text_key from ({TEXTS}))
)
select texts.*, $encoder as encoder, embedding_row
from ({TEXTS}) as texts join numbered using (text_key) order by kind, item_id, behavior, details
"""


def new_texts(connection: duckdb.DuckDBPyConnection, encoder: str) -> list[tuple[str, str]]:
    """(key, text) of every distinct text that the encoder has no vector of, shortest first."""
    TEXT_VECTORS.create(connection)
    return connection.execute(NEW_TEXTS, [encoder]).fetchall()


def forget_lost(
    connection: duckdb.DuckDBPyConnection, encoder: str, exists: Callable[[str], bool]
) -> int:
    """Forget the vectors of parts whose file is gone, so that they are encoded again; how many."""
    TEXT_VECTORS.create(connection)
    table = TEXT_VECTORS.full_name
    parts = connection.execute(
        f"select part, count(*) from {table} where encoder = ? group by part", [encoder]
    ).fetchall()
    lost = {part: texts for part, texts in parts if not exists(part)}
    connection.execute(
        f"delete from {table} where encoder = ? and list_contains(?::varchar[], part)",
        [encoder, list(lost)],
    )
    return sum(lost.values())


def part_name(encoder: str, keys: list[str]) -> str:
    """The same file for the same texts, so that a repeated batch overwrites its orphan."""
    return f"text_vectors/{encoder}/{hashlib.sha256(''.join(keys).encode()).hexdigest()[:24]}.npy"


def remember(
    connection: duckdb.DuckDBPyConnection, encoder: str, keys: list[str], part: str
) -> None:
    """Note where the vectors of a written part lie."""
    rows = pa.table({"text_key": keys, "part_row": np.arange(len(keys), dtype=np.int32)})
    connection.register("encoded", rows)
    connection.execute(
        f"insert or replace into {TEXT_VECTORS.full_name} by name"
        " (select ? as encoder, text_key, ? as part, part_row from encoded)",
        [encoder, part],
    )
    connection.unregister("encoded")


def places(connection: duckdb.DuckDBPyConnection, encoder: str) -> dict[str, np.ndarray]:
    """text_key, part and part_row of every current text, in the order of the keys."""
    return read_columns(connection, PLACES, [encoder])


def publish(connection: duckdb.DuckDBPyConnection, encoder: str, file: str, texts: int) -> None:
    """Make the matrix in `file` current and let text_features refer to its rows."""
    TEXT_FEATURES.replace(connection, FEATURES, {"encoder": encoder})
    MATRICES.replace(
        connection, "select ? as encoder, ? as file, ? as texts", [encoder, file, texts]
    )


def current_matrix(connection: duckdb.DuckDBPyConnection) -> tuple[str, str]:
    """(name of the encoder, file of the matrix that text_features refers to)."""
    return connection.execute(f"select encoder, file from {MATRICES.full_name}").fetchall()[0]
