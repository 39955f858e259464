"""Cleaning and sequences written a second time, for pandas: the same rows out of both."""

import duckdb
import pytest

from llmrec_assets_tests.benchmarks.preparation_peers import by_pandas
from llmrec_assets_tests.benchmarks.preparation_speed import (
    BOTS,
    RULES,
    fingerprints,
    prepare,
    write_raw,
)

FEW_BOTS = {"bot_events_per_day": 3, "bot_one_item_events": 10, "bot_one_item_share": 0.25}


@pytest.mark.parametrize("changed", [{}, FEW_BOTS, FEW_BOTS | {"drop_bots": True}])
def test_pandas_makes_the_same_rows(tmp_path, changed):
    rules = {**RULES, **BOTS, **changed, "outlier_deviations": 3.0}
    write_raw(tmp_path, 6000)
    prepare(tmp_path, rules)
    by_pandas(tmp_path, rules)
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        found, wanted = fingerprints(connection, None), fingerprints(connection, tmp_path)
        bots, outliers, removed = connection.execute(
            """select count(*) filter (is_bot), count(*) filter (is_outlier),
                (select count(*) from s2_sequences.removed_events where reason = 'bot')
            from s2_sequences.clean_events"""
        ).fetchall()[0]
    assert found == wanted
    dropped = bool(changed.get("drop_bots"))
    assert (bool(bots), bool(removed)) == (bool(changed) and not dropped, dropped)
    assert outliers
