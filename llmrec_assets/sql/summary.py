"""What a run came to, in one row of facts and one table of scores."""

from dataclasses import dataclass

import duckdb
import pandas as pd

from llmrec_assets.core.deciding import told
from llmrec_assets.sql import s5_model as model_sql
from llmrec_assets.sql.s1_rejections import OPEN

COUNTS = f"""
select
    (select coalesce(sum(rows), 0) from s1_raw_events.files where kind = 'events') as events_read,
    (select count(*) from s1_raw_events.raw_events) as events,
    (select count(*) from ({OPEN})) as rejected,
    (select count(*) from s2_sequences.removed_events) as removed,
    (select count(distinct user_id) from s1_raw_events.raw_events) as users,
    (select count(*) from s2_sequences.item_texts) as items,
    (select count(*) from s7_feedback.feedback) as feedback
"""


@dataclass(frozen=True)
class Summary:
    """The outcome of the last run of the loop."""

    counts: dict[str, int]
    decision: dict[str, object]
    scores: pd.DataFrame  # scorer, role, ndcg_at_10, recall_at_10, users; leave-one-out
    hides_seen: bool  # whether lists hide what was seen: the scores are masked, then


def summarise(connection: duckdb.DuckDBPyConnection) -> Summary:
    """Read the outcome from the warehouse.

    Raises:
        LookupError: nothing was judged yet.
    """
    counts = connection.execute(COUNTS).df().iloc[0].to_dict()
    decision = model_sql.newest_decision(connection)
    challenger = str(decision["challenger"])
    hides_seen = model_sql.hides_seen(connection, challenger)
    kind = told(hides_seen)
    rows = model_sql.evaluation_of(connection, challenger)
    rows = rows[rows["protocol"] == "leave_one_out"]
    scores = (
        rows[rows["metric"].isin([f"{kind}ndcg_at_10", f"{kind}recall_at_10"])]
        .pivot(index=["scorer", "role", "users"], columns="metric", values="score")
        .reset_index()
        .rename(columns=lambda name: str(name).removeprefix(kind))
        .sort_values("ndcg_at_10", ascending=False)
    )
    return Summary({str(k): int(v) for k, v in counts.items()}, decision, scores, hides_seen)
