"""The tables of an evaluation are replaced together, and only those of its challenger."""

import duckdb
import pandas as pd
import pytest

from llmrec_assets.core.judging import Judgement
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.sql import s5_gate as gate_sql
from llmrec_assets.sql.s5_model import (
    MODEL_EVALUATION,
    MODEL_EVALUATION_GUARDED,
    MODEL_EVALUATION_INTERVALS,
    MODEL_EVALUATION_SLICES,
    headline,
    record_evaluation,
)

TABLES = (
    MODEL_EVALUATION,
    MODEL_EVALUATION_SLICES,
    MODEL_EVALUATION_INTERVALS,
    MODEL_EVALUATION_GUARDED,
)
EXAMPLES = {"varchar": "x", "double": 0.5, "integer": 3, "bigint": 4, "boolean": True}


def judgement(scorer: str) -> Judgement:
    frames = []
    for table in TABLES:
        row = {column.name: EXAMPLES[column.type] for column in table.columns[1:]}
        frames.append(pd.DataFrame([row | {"scorer": scorer}]))
    return Judgement(*frames)


def scorers(warehouse: Warehouse) -> list[list[tuple[str, str]]]:
    with warehouse.connect() as connection:
        return [
            connection.execute(
                f"select model_version, scorer from {table.full_name} order by all"
            ).fetchall()
            for table in TABLES
        ]


def test_an_evaluation_takes_the_place_of_the_earlier_one_in_all_tables(tmp_path):
    warehouse = Warehouse(path=str(tmp_path / "warehouse.duckdb"))
    with warehouse.connect() as connection:
        record_evaluation(connection, "gru-1", judgement("older"))
        record_evaluation(connection, "gru-2", judgement("other"))
    with warehouse.connect() as connection:
        record_evaluation(connection, "gru-1", judgement("newer"))
    assert scorers(warehouse) == [[("gru-1", "newer"), ("gru-2", "other")]] * 4


def test_a_failure_leaves_the_earlier_evaluation_whole(tmp_path):
    warehouse = Warehouse(path=str(tmp_path / "warehouse.duckdb"))
    with warehouse.connect() as connection:
        record_evaluation(connection, "gru-1", judgement("older"))
    broken = judgement("newer")
    broken.intervals["unknown"] = 1
    with pytest.raises(duckdb.Error), warehouse.connect() as connection:
        record_evaluation(connection, "gru-1", broken)
    assert scorers(warehouse) == [[("gru-1", "older")]] * 4


def test_nobody_compared_leaves_no_intervals(tmp_path):
    warehouse = Warehouse(path=str(tmp_path / "warehouse.duckdb"))
    alone = judgement("popularity")
    alone = Judgement(alone.rows, alone.slices, alone.intervals[:0], alone.guarded[:0])
    with warehouse.connect() as connection:
        record_evaluation(connection, "none-1", alone)
    assert [len(rows) for rows in scorers(warehouse)] == [1, 1, 0, 0]


def test_the_headline_of_a_scorer_is_of_the_newest_evaluation_that_has_it():
    with duckdb.connect() as connection:
        assert headline(connection, "c1", "c2") == {}
        rows = [
            ("c1", "leave_one_out", "c1", "masked_ndcg_at_10", 0.1),
            ("c2", "leave_one_out", "c1", "masked_ndcg_at_10", 0.2),
            ("c2", "leave_one_out", "c1", "masked_recall_at_10", 0.3),
            ("c2", "leave_one_out", "c1", "ndcg_at_10", 0.4),
            ("c2", "global_time", "c1", "masked_ndcg_at_10", 0.5),
            ("c2", "leave_one_out", "c2", "masked_ndcg_at_10", 0.6),
        ]
        names = "model_version, protocol, scorer, metric, score"
        connection.executemany(
            f"insert into {MODEL_EVALUATION.full_name} ({names}) values (?, ?, ?, ?, ?)", rows
        )
        assert headline(connection, "c1", "c2") == {"ndcg_at_10": 0.2, "recall_at_10": 0.3}
        assert headline(connection, "c1", "c1")["ndcg_at_10"] == 0.1
        connection.execute(
            f"update {MODEL_EVALUATION.full_name} set hides_seen = model_version <> 'c2'"
        )
        assert headline(connection, "c1", "c2") == {"ndcg_at_10": 0.4}
        assert headline(connection, "c1", "c1")["ndcg_at_10"] == 0.1


@pytest.mark.parametrize(
    ("hides_seen", "unseen", "expected"),
    [
        (True, 0.1, "unseen_ndcg_at_10"),
        (True, None, "masked_ndcg_at_10"),
        (None, 0.1, "unseen_ndcg_at_10"),  # judged before it was told
        (False, None, "ndcg_at_10"),
    ],
)
def test_the_gate_decides_by_what_lists_show(hides_seen, unseen, expected):
    rows = [("masked_ndcg_at_10", 0.2), ("ndcg_at_10", 0.3), ("coverage_at_10", 0.9)]
    rows += [("unseen_ndcg_at_10", unseen)] * (unseen is not None)
    with duckdb.connect() as connection:
        MODEL_EVALUATION.create(connection)
        connection.executemany(
            f"insert into {MODEL_EVALUATION.full_name} (model_version, protocol, scorer, role,"
            " metric, score, hides_seen)"
            " values ('c1', 'leave_one_out', 'c1', 'challenger', ?, ?, ?)",
            [(*row, hides_seen) for row in rows],
        )
        assert gate_sql.deciding_metric(connection, "c1") == expected
        found = gate_sql.scores(connection, "c1")
        assert found == {"challenger": {"c1": dict(rows)[expected]}}
