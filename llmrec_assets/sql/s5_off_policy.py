"""Stage 5 in SQL: the slots that were filled at random, how users answered, and what it tells.

Reads what earlier runs of stages 6 and 7 left. No asset depends on it: the graph would be a cycle.
"""

import duckdb
import pandas as pd

from llmrec_assets.sql.s4_tables import FUSED_FEATURES
from llmrec_assets.sql.s5_model import CHAMPION_MODEL, SCHEMA
from llmrec_assets.sql.tables import Column, Table

LISTS = "s6_recommendations.recommendations"
FEEDBACK = "s7_feedback.feedback"

OFF_POLICY_ESTIMATES = Table(
    SCHEMA,
    "off_policy_estimates",
    (
        Column("model_version", "varchar", "The challenger, by its fit on all events before one"
               " time.", (f"{SCHEMA}.temporal_model.model_version",)),
        Column("policy", "varchar", "logged: as it was; exploring: slots drawn by the challenger's"
               " probabilities; greedy: filled by its likeliest item."),
        Column("estimator", "varchar", "logged, ips, snips or dr."),
        Column("value", "double", "Mean reward of an explored slot that was shown.",
               ("s7_feedback.feedback.response", "s7_feedback.feedback.caused_by")),
        Column("lower", "double", "2.5th percentile over users drawn anew."),
        Column("upper", "double", "97.5th percentile."),
        Column("difference", "double", "Value less that of the log, over the same slots."),
        Column("difference_lower", "double", "2.5th percentile."),
        Column("difference_upper", "double", "97.5th percentile."),
        Column("slots", "bigint", "Explored slots that were shown.",
               ("s6_recommendations.recommendations.propensity",)),
        Column("users", "bigint", "Who they were shown to."),
        Column("effective_sample", "double", "Kish's: slots of its own that they are worth."),
        Column("mean_weight", "double", "Near 1 where the log covers the policy."),
        Column("most_weight", "double", "Weights above this counted as this."),
    ),
    primary_key=("model_version", "policy", "estimator"),
)  # fmt: skip

# Slots in the order in which they were filled: an explored one could get what no kept one shows.
# A list was made of the events up to those that the newest challenger then judged had seen.
LOGGED_LISTS = f"""
with answers as (
    select caused_by as list_id, item_id, bool_or(response = 'impression') as shown,
        bool_or(list_contains($rewards, response)) as rewarded
    from {FEEDBACK} where caused_by is not null group by all
), explored as (
    select distinct list_id from {LISTS} join answers using (list_id, item_id)
    where source = 'exploration' and shown and ($maker is null or model_version = $maker)
)
select list_id, user_id, item_id, source = 'exploration' as explored, propensity,
    coalesce(shown, false) as shown, coalesce(rewarded, false) as rewarded,
    decisions.judged_through as through
from {LISTS} as lists
semi join explored using (list_id)
left join answers using (list_id, item_id)
asof join {CHAMPION_MODEL.full_name} as decisions on lists.generated_at >= decisions.decided_at
order by list_id, explored, rank
"""


def logged_lists(
    connection: duckdb.DuckDBPyConnection, maker: str | None, rewards: list[str]
) -> pd.DataFrame:
    """Every list in which a user was shown an explored slot, a row for each slot.

    Args:
        connection: of the warehouse.
        maker: whose lists; anybody's when None.
        rewards: responses that earn 1.

    Returns:
        Columns list_id, user_id, item_id, explored, propensity, shown, rewarded and through, the
        newest event that the list knew; slots of a list in the order in which they were filled.
    """
    CHAMPION_MODEL.create(connection)
    there = connection.execute(
        "select count(*) from information_schema.tables"
        " where table_schema || '.' || table_name in (?, ?)",
        [LISTS, FEEDBACK],
    ).fetchall()[0][0]
    if there < 2:
        return pd.DataFrame()
    return connection.execute(LOGGED_LISTS, {"maker": maker, "rewards": rewards}).df()


def event_seqs(connection: duckdb.DuckDBPyConnection) -> pd.Series:
    """The ingestion sequence number of each event, in the order of the training data."""
    rows = connection.execute(
        f"select seq from {FUSED_FEATURES.full_name} order by user_id, position"
    ).df()
    return rows["seq"]


def record_estimates(
    connection: duckdb.DuckDBPyConnection, version: str, estimates: pd.DataFrame
) -> None:
    """Make `estimates` all that is told of a challenger."""
    OFF_POLICY_ESTIMATES.create(connection)
    table = OFF_POLICY_ESTIMATES.full_name
    connection.execute(f"delete from {table} where model_version = ?", [version])
    if len(estimates):
        connection.register("estimated", estimates)
        OFF_POLICY_ESTIMATES.insert(
            connection, "select ? as model_version, * from estimated", [version]
        )
        connection.unregister("estimated")
