"""Tables and plots of a judgement."""

import pandas as pd
import pytest

from llmrec_assets.core.judging import judge
from llmrec_assets.core.reports import evaluation_plot, score_table, slice_table
from llmrec_assets.core.splits import leave_one_out
from llmrec_assets_tests.core.test_judging import scorers, shop


@pytest.fixture(scope="module")
def judgement():
    data = shop()
    return judge("leave_one_out", scorers(data, 1.0), data, leave_one_out(data.sequences))


def test_slices_stand_in_their_order_with_a_column_for_each_scorer(judgement):
    table = slice_table(judgement.slices, "masked_ndcg_at_10")
    assert {"constant", "gru-1", "noise", "users"} <= set(table.columns)
    lengths = table.loc[table["dimension"] == "history_length", "slice"].tolist()
    assert lengths == ["1", "2 to 4", "5 to 9", "10 to 19", "20 to 49"]


def test_every_scorer_has_a_line_of_scores(judgement):
    assert score_table(judgement.rows)["scorer"].tolist() == ["constant", "gru-1", "noise"]


def test_the_plot_shows_intervals_where_there_are_any(judgement):
    def panels(intervals: pd.DataFrame) -> list[bool]:
        return [panel.get_visible() for panel in evaluation_plot(judgement.rows, intervals).axes]

    assert panels(judgement.intervals) == [True, True]
    assert panels(judgement.intervals[:0]) == [True, False]
