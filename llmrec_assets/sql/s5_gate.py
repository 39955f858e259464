"""Stage 5 in SQL: what the gate reads of an evaluation, the evidence it leaves, and its memory."""

from collections.abc import Sequence

import duckdb
import pandas as pd

from llmrec_assets.core.deciding import decisive
from llmrec_assets.core.gate_evidence import Comparison, Difference, Evidence, LoggedValue
from llmrec_assets.sql.s5_model import (
    CHAMPION_MODEL,
    MODEL_EVALUATION,
    MODEL_EVALUATION_GUARDED,
    MODEL_EVALUATION_INTERVALS,
    SCHEMA,
    hides_seen,
)
from llmrec_assets.sql.s5_off_policy import OFF_POLICY_ESTIMATES
from llmrec_assets.sql.tables import Column, Table

GATE_EVIDENCE = Table(
    SCHEMA,
    "gate_evidence",
    (
        Column("decision_id", "varchar", "As in champion_model.",
               (f"{SCHEMA}.champion_model.decision_id",)),
        Column("position", "integer", "The order in which tests decide, from 0."),
        Column("test", "varchar", "What was tested."),
        Column("value", "double", "A score, or the challenger's less the champion's;"
               " null where nothing can be said."),
        Column("lower", "double", "Of the 95 % interval of value; null where it has none."),
        Column("upper", "double", "Of the 95 % interval of value; null where it has none."),
        Column("threshold", "double", "What it was held against."),
        Column("users", "bigint", "Held-out users it is measured on; null where not told."),
        Column("passed", "boolean", "Whether it speaks for the challenger, or not against it."),
        Column("rule", "varchar", "What it means where it fails, with the numbers."),
    ),
    primary_key=("decision_id", "position"),
)  # fmt: skip


def scores(
    connection: duckdb.DuckDBPyConnection, version: str, metric: str | None = None
) -> dict[str, dict[str, float]]:
    """Role → scorer → a metric of leave-one-out, in the evaluation of a challenger.

    Without a name it is the one that decides.
    """
    metric = metric or deciding_metric(connection, version)
    rows = connection.execute(
        f"select role, scorer, score from {MODEL_EVALUATION.full_name} where model_version = ?"
        " and protocol = 'leave_one_out' and metric = ? order by role, scorer",
        [version, metric],
    ).fetchall()
    found: dict[str, dict[str, float]] = {}
    for role, scorer, score in rows:
        found.setdefault(role, {})[scorer] = score
    return found


def deciding_metric(connection: duckdb.DuckDBPyConnection, version: str) -> str:
    """By what the gate judges a challenger: the first of `decisive` that its evaluation has."""
    kinds = decisive(hides_seen(connection, version))
    metrics = [f"{kind}ndcg_at_10" for kind in kinds]
    found = connection.execute(
        f"select distinct metric from {MODEL_EVALUATION.full_name} where model_version = ?"
        " and protocol = 'leave_one_out' and list_contains(?::varchar[], metric)",
        [version, metrics],
    ).fetchall()
    return next((metric for metric in metrics if (metric,) in found), metrics[-1])


def comparison(connection: duckdb.DuckDBPyConnection, version: str) -> Comparison | None:
    """The challenger beside the champion of its evaluation; None where there is none."""
    overall = connection.execute(
        f"""select difference, lower, upper, score, i.users
        from {MODEL_EVALUATION_INTERVALS.full_name} as i
        join {MODEL_EVALUATION.full_name} as e using (model_version, protocol, scorer, metric)
        where model_version = ? and protocol = 'leave_one_out' and i.role = 'champion'
            and metric = ?""",
        [version, deciding_metric(connection, version)],
    ).fetchall()
    if not overall:
        return None
    slices = connection.execute(
        f"""select slice, difference, lower, upper, score, users
        from {MODEL_EVALUATION_GUARDED.full_name}
        where model_version = ? and protocol = 'leave_one_out' order by slice""",
        [version],
    ).fetchall()
    return Comparison(
        overall=Difference(*overall[0]),
        coverage=_pair(connection, version, "coverage_at_10"),
        gini=_pair(connection, version, "gini_at_10"),
        slices={name: Difference(*numbers) for name, *numbers in slices},
        logged=_logged(connection, version),
    )


def _pair(connection: duckdb.DuckDBPyConnection, version: str, metric: str) -> tuple[float, float]:
    found = scores(connection, version, metric)
    own, other = (next(iter(found[role].values())) for role in ("challenger", "champion"))
    return own, other


def _logged(connection: duckdb.DuckDBPyConnection, version: str) -> LoggedValue | None:
    OFF_POLICY_ESTIMATES.create(connection)
    rows = connection.execute(
        f"""select difference, difference_lower, difference_upper, effective_sample, slots
        from {OFF_POLICY_ESTIMATES.full_name}
        where model_version = ? and policy = 'exploring' and estimator = 'snips'""",
        [version],
    ).fetchall()
    return LoggedValue(*rows[0]) if rows else None


def record_evidence(
    connection: duckdb.DuckDBPyConnection, decision_id: str, tests: Sequence[Evidence]
) -> pd.DataFrame:
    """Make `tests` the evidence of a decision; its rows."""
    GATE_EVIDENCE.create(connection)
    names = [column.name for column in GATE_EVIDENCE.columns]
    table = GATE_EVIDENCE.full_name
    connection.execute(f"delete from {table} where decision_id = ?", [decision_id])
    for position, test in enumerate(tests):
        row = vars(test) | {"decision_id": decision_id, "position": position}
        connection.execute(
            f"insert into {table} ({GATE_EVIDENCE.column_names})"
            f" values ({', '.join('?' for _ in names)})",
            [row[name] for name in names],
        )
    return connection.execute(
        f"select * exclude (decision_id, position) from {table} where decision_id = ?"
        " order by position",
        [decision_id],
    ).df()


def compared_with(
    connection: duckdb.DuckDBPyConnection, version: str, serving: str | None
) -> str | None:
    """The champion that a challenger is to be compared with.

    That is who serves; but a version that serves already is compared with the one it took over
    from, so that judging it again comes to the same decision.
    """
    if serving != version:
        return serving
    CHAMPION_MODEL.create(connection)
    rows = connection.execute(
        f"select champion from {CHAMPION_MODEL.full_name} where challenger = ? and not by_hand"
        " order by decided_at desc, rowid desc limit 1",
        [version],
    ).fetchall()
    return rows[0][0] if rows else None


def judged_through(connection: duckdb.DuckDBPyConnection, by_hand: bool = False) -> int:
    """The newest event any judged challenger knew, or any did when a person last decided."""
    CHAMPION_MODEL.create(connection)
    return connection.execute(
        f"select coalesce(max(judged_through), 0) from {CHAMPION_MODEL.full_name}"
        " where by_hand or not ?",
        [by_hand],
    ).fetchall()[0][0]


def awaiting_approval(connection: duckdb.DuckDBPyConnection) -> str | None:
    """The challenger that waits for a person, if the newest decision left one."""
    CHAMPION_MODEL.create(connection)
    rows = connection.execute(
        f"select challenger, outcome from {CHAMPION_MODEL.full_name}"
        " order by decided_at desc, rowid desc limit 1"
    ).fetchall()
    return rows[0][0] if rows and rows[0][1] == "awaiting_approval" else None
