"""Stage 5 in SQL: the ledgers of trained models, of their scores and of who serves."""

import json
from datetime import UTC, datetime

import duckdb
import pandas as pd

from llmrec_assets.core.gate import Decision
from llmrec_assets.sql.tables import Column, Table

SCHEMA = "s5_model"
FUSED = "s4_features.fused_features"

TEMPORAL_MODEL = Table(
    SCHEMA,
    "temporal_model",
    (
        Column("model_version", "varchar", "Network and hash of data, settings and code."),
        Column("trained", "boolean", "Whether there was anything to learn from."),
        Column("trained_through", "bigint", "Newest ingestion sequence number it knows.",
               (f"{FUSED}.seq",)),
        Column("data_fingerprint", "varchar", "Hash of the sequences and the catalogue.",
               (f"{FUSED}.item_code", f"{FUSED}.embedding_row", f"{FUSED}.behavior_code")),
        Column("statistics_version", "varchar", "Which value_statistics scaled its inputs."),
        Column("best_epoch", "integer", "Epochs of the fit on all events."),
        Column("validation_ndcg_at_10", "double", "Masked, full ranking, evaluation fit."),
        Column("parameters", "bigint", "Learnt numbers."),
        Column("config", "varchar", "All settings as JSON."),
        Column("trained_at", "timestamp", "UTC."),
    ),
    primary_key=("model_version",),
)  # fmt: skip

MODEL_EVALUATION = Table(
    SCHEMA,
    "model_evaluation",
    (
        Column("model_version", "varchar", "The challenger this evaluation was made for.",
               (f"{SCHEMA}.temporal_model.model_version",)),
        Column("protocol", "varchar", "leave_one_out or global_time."),
        Column("scorer", "varchar", "A model version or the name of a baseline."),
        Column("role", "varchar", "challenger, champion, baseline, or part of the challenger."),
        Column("metric", "varchar", "Such as ndcg_at_10; masked_: items of the history are no"
               " candidates. All items are ranked."),
        Column("score", "double", "Mean over the users."),
        Column("users", "bigint", "Users with a target."),
    ),
    primary_key=("model_version", "protocol", "scorer", "metric"),
)  # fmt: skip

CHAMPION_MODEL = Table(
    SCHEMA,
    "champion_model",
    (
        Column("challenger", "varchar", "The model that was judged.",
               (f"{SCHEMA}.model_evaluation.model_version",)),
        Column("outcome", "varchar", "promoted, kept or baseline."),
        Column("served", "varchar", "Version, or name of the baseline, that serves from now on."),
        Column("kind", "varchar", "model or baseline."),
        Column("reason", "varchar", "The scores that decided.",
               (f"{SCHEMA}.model_evaluation.score",)),
        Column("judged_through", "bigint", "Newest ingestion sequence number the challenger knew.",
               (f"{SCHEMA}.temporal_model.trained_through",)),
        Column("decided_at", "timestamp", "UTC."),
    ),
)  # fmt: skip


def record_training(connection: duckdb.DuckDBPyConnection, row: dict[str, object]) -> None:
    """Add, or replace, one model version's row; `config` is a dict."""
    _insert(connection, TEMPORAL_MODEL, row | {"config": json.dumps(row["config"])}, "trained_at")


def newest_training(connection: duckdb.DuckDBPyConnection) -> dict[str, object]:
    """The row of temporal_model trained last.

    Raises:
        LookupError: no model was ever trained here.
    """
    return _newest(connection, TEMPORAL_MODEL, "trained_at")


def record_evaluation(
    connection: duckdb.DuckDBPyConnection, version: str, rows: pd.DataFrame
) -> None:
    """Make `rows` the evaluation of one challenger; columns as the table's but model_version."""
    MODEL_EVALUATION.create(connection)
    connection.execute(
        f"delete from {MODEL_EVALUATION.full_name} where model_version = ?", [version]
    )
    connection.register("evaluated", rows)
    connection.execute(
        f"insert into {MODEL_EVALUATION.full_name} by name"
        " (select ? as model_version, * from evaluated)",
        [version],
    )
    connection.unregister("evaluated")


def evaluation_of(connection: duckdb.DuckDBPyConnection, version: str) -> pd.DataFrame:
    """The rows of model_evaluation of one challenger."""
    return connection.execute(
        f"select * from {MODEL_EVALUATION.full_name} where model_version = ?"
        " order by protocol, role, scorer, metric",
        [version],
    ).df()


def record_decision(
    connection: duckdb.DuckDBPyConnection, challenger: str, through: int, decision: Decision
) -> None:
    """Add one row to champion_model."""
    row = {**vars(decision), "challenger": challenger, "judged_through": through}
    _insert(connection, CHAMPION_MODEL, row, "decided_at")


def newest_decision(connection: duckdb.DuckDBPyConnection) -> dict[str, object]:
    """The newest row of champion_model.

    Raises:
        LookupError: nothing was judged here yet.
    """
    return _newest(connection, CHAMPION_MODEL, "decided_at")


def _insert(
    connection: duckdb.DuckDBPyConnection, table: Table, row: dict[str, object], clock: str
) -> None:
    table.create(connection)
    row = row | {clock: datetime.now(UTC).replace(tzinfo=None)}
    names = [column.name for column in table.columns]
    verb = "insert or replace" if table.primary_key else "insert"
    connection.execute(
        f"{verb} into {table.full_name} ({table.column_names})"
        f" values ({', '.join(f'${name}' for name in names)})",
        {name: row[name] for name in names},
    )


def _newest(connection: duckdb.DuckDBPyConnection, table: Table, clock: str) -> dict[str, object]:
    table.create(connection)
    rows = connection.execute(
        f"select * from {table.full_name} order by {clock} desc, rowid desc limit 1"
    ).df()
    if rows.empty:
        raise LookupError(f"{table.full_name} is empty: materialise {table.name} first")
    return {str(name): value for name, value in rows.iloc[0].to_dict().items()}
