"""What a model reads of the warehouse: sequences, catalogue and vocabulary as flat arrays."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import duckdb
import numpy as np

from llmrec_assets.core.encoding import hashed_words
from llmrec_assets.core.sequences import Catalogue, Sequences
from llmrec_assets.sql.s2_tables import EVENT_DETAILS, ITEM_TEXTS, REMOVED_EVENTS, VALUE_STATISTICS
from llmrec_assets.sql.s4_tables import (
    BEHAVIORS,
    FUSED_FEATURES,
    HISTORY_ROWS,
    ITEMS,
    NUMERIC_FEATURES,
    STEP_ROWS,
    USERS,
)
from llmrec_assets.sql.tables import read_columns, read_into

Scaling = Literal["z-score", "min-max"]

SPLITS = ("train", "validation", "test")
SCALED_FEATURES = ("rating", "value")
SCALE_PARTS = {
    "z-score": ("mean", "greatest(std, 1e-6)"),
    "min-max": ("minimum", "greatest(maximum - minimum, 1e-6)"),
}

# Makes an array of this shape and type, whose content is anything.
Allocate = Callable[[tuple[int, ...], "np.dtype | type"], np.ndarray]


@dataclass(frozen=True)
class TrainingData:
    """Sequences and catalogue with the names behind their codes.

    `users[c]`, `items[c - 1]` and `behaviors[c - 1]` are the external ids of code c.
    """

    sequences: Sequences
    catalogue: Catalogue
    users: list[str]
    items: list[str]
    behaviors: list[str]
    splits: np.ndarray  # uint8 [N], place of each event's split in `SPLITS`
    through: int  # newest ingestion sequence number that cleaning saw
    items_through: int  # newest ingestion sequence number of the items

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all that a fit can depend on, the same for the same data."""
        digest = hashlib.sha256("\x1f".join([*self.items, *self.behaviors]).encode())
        for source in (self.sequences, self.catalogue):
            for value in vars(source).values():
                digest.update(np.ascontiguousarray(value).data)
        return digest.hexdigest()[:16]


def load(
    connection: duckdb.DuckDBPyConnection,
    embeddings: np.ndarray,
    words: tuple[np.ndarray, np.ndarray],
    *,
    fit: Literal["evaluation", "global", "final"],
    statistics_version: str,
    scaling: Scaling = "z-score",
    allocate: Allocate = np.empty,
) -> TrainingData:
    """Read the fused features, with rating and value scaled by the statistics of `fit`.

    Args:
        connection: of the warehouse.
        embeddings: the matrix that embedding_row refers to, float32 [T, D].
        words: as `item_words` reads them.
        fit: whose statistics: `evaluation` never saw the held-out events.
        statistics_version: as in value_statistics.
        scaling: how rating and value are scaled.
        allocate: where the arrays of events lie; they are filled batch by batch.
    """
    steps = _read_steps(connection, fit, statistics_version, scaling, allocate)
    users = _names(connection, f"select user_id from {USERS.full_name} order by user_code")
    items = read_columns(
        connection,
        f"select item_id, embedding_row, item_seq from {ITEMS.full_name} order by item_code",
    )
    behaviors = _names(
        connection, f"select behavior from {BEHAVIORS.full_name} order by behavior_code"
    )
    numeric = steps.pop("numeric")
    sequences = Sequences(
        offsets=np.searchsorted(steps["user_code"], np.arange(len(users) + 1)).astype(np.int64),
        items=steps["item_code"],
        behaviors=steps["behavior_code"],
        text_rows=steps["embedding_row"],
        numeric=numeric,
        times=steps["time"],
        positive=steps["positive"],
        weights=steps["weight"],
        relative=bool(steps["relative"].any()),
        history_rows=_told(steps["history_row"]),
    )
    catalogue = Catalogue(
        n_items=len(items["item_id"]),
        text_rows=np.concatenate([[-1], items["embedding_row"]]).astype(np.int32),
        embeddings=embeddings,
        n_behaviors=len(behaviors),
        word_offsets=words[0],
        words=words[1],
    )
    return TrainingData(
        sequences,
        catalogue,
        users,
        list(items["item_id"]),
        behaviors,
        splits=steps["split"],
        through=newest_seen(connection),
        items_through=int(items["item_seq"].max(initial=0)),
    )


def item_words(connection: duckdb.DuckDBPyConnection) -> tuple[np.ndarray, np.ndarray]:
    """The words of every item's text as in `Catalogue.word_offsets` and `Catalogue.words`."""
    texts = _names(
        connection,
        f"""select coalesce(text, '') from {ITEMS.full_name}
        join {ITEM_TEXTS.full_name} using (item_id) order by item_code""",
    )
    return hashed_words(["", *texts])


_STEPS: dict[str, type] = {
    "user_code": np.int32,
    "item_code": np.int32,
    "behavior_code": np.int16,
    "embedding_row": np.int32,
    "history_row": np.int32,
    "time": np.int64,
    "positive": np.bool_,
    "weight": np.float32,
    "split": np.uint8,
    "relative": np.bool_,
}


def _read_steps(
    connection: duckdb.DuckDBPyConnection,
    fit: str,
    version: str,
    scaling: Scaling,
    allocate: Allocate,
) -> dict[str, np.ndarray]:
    """The fused features by user and position, with codes for ids, [N] each, and `numeric` [N, F].

    Unknown numbers are NaN; split is its place in `SPLITS`.
    """
    n = FUSED_FEATURES.count(connection)
    arrays = {name: allocate((n,), kind) for name, kind in _STEPS.items()}
    numeric = allocate((n, len(NUMERIC_FEATURES)), np.float32)
    columns = {name: numeric[:, place] for place, name in enumerate(NUMERIC_FEATURES)}
    query, parameters = _steps(connection, fit, version, scaling)
    found = read_into(connection, query, parameters, {**arrays, **columns})
    if found != n:
        raise RuntimeError(f"{found} of {n} fused features have codes of user, item and behaviour")
    return {**arrays, "numeric": numeric}


def _steps(
    connection: duckdb.DuckDBPyConnection, fit: str, version: str, scaling: Scaling
) -> tuple[str, dict[str, object]]:
    """The query of `_read_steps` and its parameters."""
    numeric = {name: f"steps.{name}" for name in NUMERIC_FEATURES}
    shift, scale = SCALE_PARTS[scaling]
    for name in SCALED_FEATURES:
        numeric[name] = f"(steps.{name} - {name}.shift) / {name}.scale"
    selected = ", ".join(
        f"coalesce(({expression})::float, 'nan'::float) as {name}"
        for name, expression in numeric.items()
    )
    joins = " ".join(
        f"left join (select *, {shift} as shift, {scale} as scale"
        f" from {VALUE_STATISTICS.full_name}) as {name} on {name}.version = $version"
        f" and {name}.fit = $fit and {name}.feature = '{name}' and {name}.behavior = steps.behavior"
        for name in SCALED_FEATURES
    )
    return (
        f"""select users.user_code, items.item_code, behaviors.behavior_code,
            coalesce(step_rows.embedding_row, -1) as embedding_row,
            coalesce(history_rows.embedding_row, -1) as history_row, time, positive, weight,
            (list_position($splits::varchar[], split) - 1)::utinyint as split,
            hour_sin is null as relative, {selected}
        from {FUSED_FEATURES.full_name} as steps
        join {USERS.full_name} using (user_id) join {ITEMS.full_name} using (item_id)
        join {BEHAVIORS.full_name} using (behavior) {_text_rows(connection)} {joins}
        order by users.user_code, steps.position""",
        {"version": version, "fit": fit, "splits": SPLITS},
    )


def _text_rows(connection: duckdb.DuckDBPyConnection) -> str:
    """The joins that give each step its texts; details only where any are told."""
    told = EVENT_DETAILS.is_there(connection) and EVENT_DETAILS.count(connection)
    details = f"left join {EVENT_DETAILS.full_name} as told using (seq)" if told else ""
    same = "and step_rows.details = coalesce(told.details, '')" if told else ""
    return f"""{details} left join {STEP_ROWS.full_name} as step_rows
            on step_rows.behavior_code = behaviors.behavior_code
                and step_rows.item_code = items.item_code {same}
        left join {HISTORY_ROWS.full_name} as history_rows
            on history_rows.user_code = users.user_code
                and history_rows.position = steps.position"""


def value_scales(
    connection: duckdb.DuckDBPyConnection,
    behaviors: list[str],
    fit: str,
    statistics_version: str,
    scaling: Scaling,
) -> tuple[np.ndarray, np.ndarray]:
    """(shift, scale) of rating and value: what `load` subtracts and divides by.

    Both float64 [2, B+1] by behaviour code, NaN where a behaviour never had the feature.
    """
    shift, scale = SCALE_PARTS[scaling]
    rows = connection.execute(
        f"""select feature, behavior, {shift}, {scale} from {VALUE_STATISTICS.full_name}
        where version = ? and fit = ?""",
        [statistics_version, fit],
    ).fetchall()
    codes = {name: code for code, name in enumerate(behaviors, start=1)}
    found = np.full((2, 2, len(behaviors) + 1), np.nan)
    for feature, behavior, shift, scale in rows:
        if behavior in codes:
            found[:, SCALED_FEATURES.index(feature), codes[behavior]] = shift, scale
    return found[0], found[1]


def _told(rows: np.ndarray) -> np.ndarray:
    """As in `Sequences.history_rows`."""
    return rows if (rows >= 0).any() else rows[:0].copy()


def newest_seen(connection: duckdb.DuckDBPyConnection) -> int:
    """The newest ingestion sequence number that cleaning kept or removed; 0 for none."""
    return connection.execute(
        f"""select coalesce(max(seq), 0) from (
            select seq from {FUSED_FEATURES.full_name}
            union all select seq from {REMOVED_EVENTS.full_name})"""
    ).fetchall()[0][0]


def _names(connection: duckdb.DuckDBPyConnection, query: str) -> list[str]:
    return [row[0] for row in connection.execute(query).fetchall()]
