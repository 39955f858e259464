"""Stage 3 in SQL: which texts there are, which have a vector, and which matrix is current."""

import hashlib
from collections.abc import Callable, Sequence

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
        Column("kind", "varchar", "item: the item's text; step: a behaviour with the item;"
               " history: what a user did up to a moment."),
        Column("behavior", "varchar", "Of a step.", (f"{CLEAN}.behavior",)),
        Column("item_id", "varchar", "The item; null for a history.", (f"{CLEAN}.item_id",)),
        Column("details", "varchar", "Of a step: rating and review in words; empty without any.",
               (f"{CLEAN}.rating", f"{RAW}.text"), private=True),
        Column("user_id", "varchar", "Of a history.", (f"{CLEAN}.user_id",), private=True),
        Column("n_events", "bigint", "Of a history: as in history_texts.", (f"{CLEAN}.seq",)),
        Column("text", "varchar", "What was encoded.", (f"{SEQUENCES}.history_text",),
               private=True, compression="zstd"),
        Column("text_key", "varchar", "Hash of the text.", compression="zstd"),
        Column("encoder", "varchar", "Name of the frozen encoder."),
        Column("embedding_row", "integer", "Row of the vector in the matrix of every encoder."),
    ),
)  # fmt: skip

ITEM_ENCODER = Table(
    SCHEMA,
    "item_encoder",
    (
        Column("version", "varchar", "Name of the tuned encoder; of the frozen one if none was."),
        Column("base", "varchar", "Name of the frozen encoder."),
        Column("outcome", "varchar", "promoted, kept (the frozen one is as good) or off."),
        Column("reason", "varchar", "Why, with the numbers."),
        Column("encoder", "varchar", "Which of the two is used."),
        Column("pairs", "bigint", "Pairs of items consumed together that it was tuned on.",
               (f"{CLEAN}.item_id", f"{CLEAN}.time")),
        Column("steps", "integer", "Batches up to the best validation."),
        Column("head_file", "varchar", "Of a head alone, file of the arrays: float32 [D + 1, D]."),
        Column("trained_through", "bigint", "Newest ingestion sequence number of the events."),
        Column("text_ndcg_frozen", "double", "Masked NDCG@10 of next items by text alone."),
        Column("text_ndcg_tuned", "double", "The same with the tuned vectors."),
        Column("text_gain_lower", "double", "Where the difference begins, 95 % interval."),
        Column("text_gain_upper", "double", "Where it ends."),
        Column("blend_ndcg_frozen", "double", "The same beside counting and words."),
        Column("blend_ndcg_tuned", "double", "The same with the tuned vectors."),
        Column("blend_gain_lower", "double", "Where the difference begins."),
        Column("blend_gain_upper", "double", "Where it ends."),
        Column("cpu_seconds", "double", "Of tuning and judging.", clock=True),
        Column("decided_at", "timestamp", "UTC.", clock=True),
    ),
    primary_key=("version",),
)  # fmt: skip

ENCODING_RUNS = Table(
    SCHEMA,
    "encoding_runs",
    (
        Column("encoder", "varchar", "Name of the encoder."),
        Column("texts", "bigint", "Distinct texts that were needed."),
        Column("encoded", "bigint", "How many of them had no vector yet."),
        Column("characters", "bigint", "Of the encoded ones."),
        Column("tokens", "bigint", "Of the encoded ones, as the endpoint counts; null if local."),
        Column("cost", "double", "Tokens times the price; null if local."),
        Column("seconds", "double", "Spent on encoding.", clock=True),
        Column("seconds_saved", "double", "Texts that had a vector at this encoder's mean speed;"
               " null before its first text.", clock=True),
        Column("ended_at", "timestamp", "UTC.", clock=True),
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
select 'item' as kind, null as behavior, item_id, '' as details, null as user_id,
    null as n_events, text, md5(text) as text_key
from s2_sequences.item_texts where text is not null
union all
select 'step', behavior, item_id, details, null, null, text, md5(text)
from s2_sequences.step_texts where text is not null
union all
select 'history', null, null, '', user_id, n_events, text, md5(text)
from s2_sequences.history_texts
"""

NEW_TEXTS = f"""
select distinct text_key, text from ({TEXTS})
where (not $items or kind = 'item') and text_key not in (
    select text_key from {TEXT_VECTORS.full_name} where encoder = $encoder
)
order by length(text), text_key
"""

PLACES = f"""
select text_key, part, part_row from {TEXT_VECTORS.full_name}
where encoder = ? and text_key in (select text_key from ({TEXTS})) order by text_key
"""

# Rows of the matrix follow the order of the keys, never that of the rows of a table.
FEATURES = f"""
select *, $encoder as encoder, dense_rank() over (order by text_key) - 1 as embedding_row
from ({TEXTS})
"""


def new_texts(
    connection: duckdb.DuckDBPyConnection, encoder: str, items_alone: bool = False
) -> list[tuple[str, str]]:
    """(key, text) of every distinct text that the encoder has no vector of, shortest first."""
    TEXT_VECTORS.create(connection)
    parameters = {"encoder": encoder, "items": items_alone}
    return connection.execute(NEW_TEXTS, parameters).fetchall()


def item_vectors(connection: duckdb.DuckDBPyConnection, encoder: str) -> dict[str, np.ndarray]:
    """text_key, part and part_row of every item text that has a vector."""
    return read_columns(
        connection,
        f"""select text_key, part, part_row from {TEXT_VECTORS.full_name} where encoder = ?
        and text_key in (select text_key from ({TEXTS}) where kind = 'item')""",
        [encoder],
    )


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


def distinct_texts(connection: duckdb.DuckDBPyConnection) -> int:
    """How many vectors the current texts need."""
    return connection.execute(f"select count(distinct text_key) from ({TEXTS})").fetchall()[0][0]


def record_encoding(
    connection: duckdb.DuckDBPyConnection,
    encoder: str,
    *,
    encoded: int,
    characters: int,
    tokens: int | None,
    cost: float | None,
    seconds: float,
) -> dict[str, float | None]:
    """Add a run to encoding_runs; its row."""
    ENCODING_RUNS.create(connection)
    rate = connection.execute(
        f"""select (sum(seconds) + $now) / nullif(sum(encoded) + $encoded, 0)
        from {ENCODING_RUNS.full_name} where encoder = $encoder""",
        {"encoder": encoder, "now": seconds, "encoded": encoded},
    ).fetchall()[0][0]
    if rate is None and encoded:
        rate = seconds / encoded  # the first run of this encoder
    texts = distinct_texts(connection)
    row = {
        "encoder": encoder,
        "texts": texts,
        "encoded": encoded,
        "characters": characters,
        "tokens": tokens,
        "cost": cost,
        "seconds": seconds,
        "seconds_saved": None if rate is None else rate * max(texts - encoded, 0),
    }
    selected = ", ".join(f"${name} as {name}" for name in row)
    ENCODING_RUNS.insert(connection, f"select {selected}, now()::timestamp as ended_at", row)
    return row


def record_item_encoder(connection: duckdb.DuckDBPyConnection, row: dict[str, object]) -> None:
    """Note a decision; the newest one counts. A version decided before is decided anew."""
    ITEM_ENCODER.create(connection)
    selected = ", ".join(f"${name} as {name}" for name in row)
    connection.execute(
        f"insert or replace into {ITEM_ENCODER.full_name} by name"
        f" (select {selected}, now()::timestamp as decided_at)",
        row,
    )


def item_encoder_row(
    connection: duckdb.DuckDBPyConnection, version: str
) -> dict[str, object] | None:
    """The row of one version."""
    ITEM_ENCODER.create(connection)
    return _row(connection, "version = ?", version)


def chosen_encoder(connection: duckdb.DuckDBPyConnection, base: str) -> str:
    """The name of the encoder in use over the frozen one of that name: a tuned one, or itself."""
    ITEM_ENCODER.create(connection)
    row = _row(connection, "base = ?", base)
    return str(row["encoder"]) if row else base


def head_file(connection: duckdb.DuckDBPyConnection, encoder: str) -> str | None:
    """The file of the head of a tuned encoder."""
    row = item_encoder_row(connection, encoder)
    return str(row["head_file"]) if row and row["head_file"] else None


def _row(
    connection: duckdb.DuckDBPyConnection, condition: str, value: str
) -> dict[str, object] | None:
    cursor = connection.execute(
        f"select * from {ITEM_ENCODER.full_name} where {condition}"
        " order by decided_at desc limit 1",
        [value],
    )
    names = [column[0] for column in cursor.description or []]
    rows = cursor.fetchall()
    return dict(zip(names, rows[0], strict=True)) if rows else None


def publish(connection: duckdb.DuckDBPyConnection, files: dict[str, str], texts: int) -> None:
    """Make the matrices current and let text_features refer to their rows.

    `files` are by encoder, the frozen one's first; each matrix has a row for each of the texts.
    """
    TEXT_FEATURES.replace(connection, FEATURES, {"encoder": next(iter(files))})
    MATRICES.clear(connection)
    for encoder, file in files.items():
        row = [encoder, file, texts]
        MATRICES.insert(connection, "select ? as encoder, ? as file, ? as texts", row)


def current_matrices(connection: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Encoder → file of its matrix, the frozen one's first: the others' names begin with its."""
    query = f"select encoder, file from {MATRICES.full_name} order by length(encoder), encoder"
    return dict(connection.execute(query).fetchall())


def published_matrices(
    connection: duckdb.DuckDBPyConnection, encoders: Sequence[str]
) -> dict[str, str]:
    """The current matrices where they are of these encoders and exactly these texts, else none."""
    if not (TEXT_FEATURES.is_there(connection) and MATRICES.is_there(connection)):
        return {}
    # The hashes of one process are compared with each other, so they need not be stable.
    told = "kind, behavior, item_id, details, user_id, n_events, text"
    wanted, found = (
        connection.execute(f"select count(*), sum(hash({told})) from {rows}").fetchall()
        for rows in (f"({TEXTS})", TEXT_FEATURES.full_name)
    )
    current = current_matrices(connection)
    return current if wanted == found and list(current) == list(encoders) else {}


def current_matrix(connection: duckdb.DuckDBPyConnection) -> tuple[str, str]:
    """(name of the frozen encoder, file of its matrix)."""
    return next(iter(current_matrices(connection).items()))
