"""Stage 5 in SQL: the ledgers of trained models, of their scores and of who serves."""

import hashlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import duckdb
import pandas as pd

from llmrec_assets.core.deciding import told
from llmrec_assets.core.gate import Decision
from llmrec_assets.sql.tables import Column, Table

if TYPE_CHECKING:
    from llmrec_assets.core.judging import Judgement

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
               (f"{FUSED}.item_id", f"{FUSED}.behavior")),
        Column("statistics_version", "varchar", "Which value_statistics scaled its inputs."),
        Column("best_epoch", "integer", "Epochs of the fit on all events."),
        Column("validation_ndcg_at_10", "double", "Full ranking, evaluation fit; masked where"
               " lists hide what was seen."),
        Column("parameters", "bigint", "Learnt numbers."),
        Column("config", "varchar", "All settings as JSON."),
        Column("trained_at", "timestamp", "UTC.", clock=True),
    ),
    primary_key=("model_version",),
)  # fmt: skip

WHO = (
    Column("model_version", "varchar", "The challenger this evaluation was made for.",
           (f"{SCHEMA}.temporal_model.model_version",)),
    Column("protocol", "varchar", "leave_one_out or global_time."),
    Column("scorer", "varchar", "A model version or the name of a baseline."),
    Column("role", "varchar", "challenger, champion, baseline, or part of the challenger."),
)  # fmt: skip

MODEL_EVALUATION = Table(
    SCHEMA,
    "model_evaluation",
    (
        *WHO,
        Column("metric", "varchar", "Of the target's rank among all items: recall (hit rate), ndcg"
               " and mrr, which with one target is MAP; masked_: items of the history are no"
               " candidates; unseen_: so, of targets that are not in it; a tied target counts with"
               " the mean over every order of the tied. Of"
               " the lists: coverage and gini of the exposure;"
               " novelty, mean -log2 of an item's share of the training events; popularity, mean"
               " training events of an item; popularity_lift, that over the same of the users'"
               " histories, less one; diversity, mean 1 - cosine of the text embeddings over the"
               " pairs of a list, absent without texts."),
        Column("score", "double", "Mean over the users."),
        Column("users", "bigint", "Users with a target."),
        Column("hides_seen", "boolean", "Whether lists leave out the items of the history: then"
               " unseen_ or masked_ metrics decide, else those without prefix. Null: they do."),
    ),
    primary_key=("model_version", "protocol", "scorer", "metric"),
)  # fmt: skip

MODEL_EVALUATION_SLICES = Table(
    SCHEMA,
    "model_evaluation_slices",
    (
        *WHO,
        Column("dimension", "varchar", "history_length: events before the target;"
               " target_popularity: by training events; target_behavior; same_day: target and the"
               " event before it on one day, UTC, absent where time is relative."),
        Column("slice", "varchar", "Of target_popularity: head, the most popular items with a fifth"
               " of the training events; tail, the least popular with another; middle; cold, never"
               " trained on."),
        Column("position", "integer", "Place of the slice in its dimension, from 0."),
        Column("masked_ndcg_at_10", "double", "Mean over the users of the slice."),
        Column("masked_recall_at_10", "double", "Mean over the users of the slice."),
        Column("users", "bigint", "Users of the slice; one without any has no row."),
        Column("ndcg_at_10", "double", "The same where all items are candidates."),
        Column("recall_at_10", "double", "The same where all items are candidates."),
    ),
    primary_key=("model_version", "protocol", "scorer", "dimension", "slice"),
)  # fmt: skip

MODEL_EVALUATION_INTERVALS = Table(
    SCHEMA,
    "model_evaluation_intervals",
    (
        *WHO,
        Column("metric", "varchar", "ndcg_at_10 or recall_at_10, with the prefix that decides."),
        Column("difference", "double", "Mean of the challenger less that of the scorer."),
        Column("lower", "double", "2.5th percentile of the difference over the resamples."),
        Column("upper", "double", "97.5th percentile. Each interval is one of 95 %, uncorrected"
               " for how many there are."),
        Column("resamples", "integer", "Times that users were drawn anew with replacement, all"
               " scorers' scores of a user together."),
        Column("users", "bigint", "Users with a target."),
    ),
    primary_key=("model_version", "protocol", "scorer", "metric"),
)  # fmt: skip

MODEL_EVALUATION_GUARDED = Table(
    SCHEMA,
    "model_evaluation_guarded",
    (
        *WHO,
        Column("slice", "varchar", "Where a challenger must not lose: new_users, with fewer than"
               " five events before the target; cold_items, targets never trained on; and each"
               " behaviour of the target."),
        Column("score", "double", "The champion's mean NDCG@10, of the kind that decides."),
        Column("difference", "double", "Mean of the challenger less that."),
        Column("lower", "double", "As in model_evaluation_intervals."),
        Column("upper", "double", "As in model_evaluation_intervals."),
        Column("resamples", "integer", "As in model_evaluation_intervals."),
        Column("users", "bigint", "Users of the slice."),
    ),
    primary_key=("model_version", "protocol", "scorer", "slice"),
)  # fmt: skip

CHAMPION_MODEL = Table(
    SCHEMA,
    "champion_model",
    (
        Column("decision_id", "varchar", "Hash of all below but the time: the same again is the"
               " same decision."),
        Column("challenger", "varchar", "The model that was judged, or put in service by hand.",
               (f"{SCHEMA}.model_evaluation.model_version",)),
        Column("champion", "varchar", "The version it was compared with, or took over from; null"
               " without.", (f"{SCHEMA}.model_evaluation.scorer",)),
        Column("outcome", "varchar", "promoted, kept, more_data (the champion is kept),"
               " awaiting_approval, baseline or rolled_back."),
        Column("served", "varchar", "Version, or name of the baseline, that serves from now on."),
        Column("kind", "varchar", "model or baseline."),
        Column("reason", "varchar", "The test that decided, and the scores.",
               (f"{SCHEMA}.model_evaluation.score",)),
        Column("judged_through", "bigint", "Newest ingestion sequence number the challenger knew;"
               " by hand, the newest that any challenger knew.",
               (f"{SCHEMA}.temporal_model.trained_through",)),
        Column("by_hand", "boolean", "Whether a person decided, and not the gate."),
        Column("thresholds", "varchar", "Of the gate, as JSON."),
        Column("decided_at", "timestamp", "UTC.", clock=True),
    ),
)  # fmt: skip

DECIDED = ("outcome", "served", "kind", "reason")


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
    connection: duckdb.DuckDBPyConnection,
    version: str,
    judgement: "Judgement",
    hides_seen: bool = True,
) -> None:
    """Make `judgement` the evaluation of one challenger, in place of an earlier one."""
    rows = judgement.rows.assign(hides_seen=hides_seen)
    _replace_version(connection, MODEL_EVALUATION, version, rows)
    _replace_version(connection, MODEL_EVALUATION_SLICES, version, judgement.slices)
    _replace_version(connection, MODEL_EVALUATION_INTERVALS, version, judgement.intervals)
    _replace_version(connection, MODEL_EVALUATION_GUARDED, version, judgement.guarded)


def evaluation_of(connection: duckdb.DuckDBPyConnection, version: str) -> pd.DataFrame:
    """The rows of model_evaluation of one challenger."""
    return connection.execute(
        f"select * from {MODEL_EVALUATION.full_name} where model_version = ?"
        " order by protocol, role, scorer, metric",
        [version],
    ).df()


def hides_seen(connection: duckdb.DuckDBPyConnection, version: str) -> bool:
    """Whether a challenger was judged for lists that leave out the items of the history."""
    MODEL_EVALUATION.create(connection)
    return connection.execute(
        f"select coalesce(bool_and(hides_seen), true) from {MODEL_EVALUATION.full_name}"
        " where model_version = ?",
        [version],
    ).fetchall()[0][0]


def headline(
    connection: duckdb.DuckDBPyConnection, scorer: str, challenger: str
) -> dict[str, float]:
    """ndcg_at_10 and recall_at_10 of a scorer, leaving one out; empty if never judged.

    They are of the evaluation of `challenger` where it has both, else of any that has; masked where
    the lists that it was judged for hide what was seen.
    """
    kind = told(hides_seen(connection, challenger))
    rows = connection.execute(
        f"""select replace(metric, $kind, ''),
            first(score order by model_version <> $challenger)
        from {MODEL_EVALUATION.full_name}
        where scorer = $scorer and protocol = 'leave_one_out'
            and metric in ($kind || 'ndcg_at_10', $kind || 'recall_at_10')
        group by metric""",
        {"scorer": scorer, "challenger": challenger, "kind": kind},
    ).fetchall()
    return dict(rows)


def record_decision(
    connection: duckdb.DuckDBPyConnection,
    challenger: str,
    through: int,
    decision: Decision,
    champion: str | None = None,
    thresholds: dict[str, object] | None = None,
    after: str | None = None,
) -> str:
    """Add one row to champion_model, unless the newest is the same decision; its id.

    `after` is the id of the decision before, of one made by hand: that is a new one each time.
    """
    row: dict[str, object] = {name: getattr(decision, name) for name in DECIDED}
    row |= {
        "challenger": challenger,
        "champion": champion,
        "judged_through": through,
        "by_hand": after is not None,
        "thresholds": json.dumps(thresholds or {}),
    }
    digest = hashlib.sha256(json.dumps([row, after]).encode()).hexdigest()[:16]
    CHAMPION_MODEL.create(connection)
    newest = connection.execute(
        f"select decision_id from {CHAMPION_MODEL.full_name}"
        " order by decided_at desc, rowid desc limit 1"
    ).fetchall()
    if newest != [(digest,)]:
        _insert(connection, CHAMPION_MODEL, row | {"decision_id": digest}, "decided_at")
    return digest


def newest_decision(connection: duckdb.DuckDBPyConnection) -> dict[str, object]:
    """The newest row of champion_model.

    Raises:
        LookupError: nothing was judged here yet.
    """
    return _newest(connection, CHAMPION_MODEL, "decided_at")


def _replace_version(
    connection: duckdb.DuckDBPyConnection, table: Table, version: str, rows: pd.DataFrame
) -> None:
    """Make `rows` all that the table has of a version; columns as the table's but the version."""
    table.create(connection)
    connection.execute(f"delete from {table.full_name} where model_version = ?", [version])
    connection.register("evaluated", rows)
    table.insert(connection, "select ? as model_version, * from evaluated", [version])
    connection.unregister("evaluated")


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
