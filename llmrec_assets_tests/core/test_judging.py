"""Scorers judged together: what is told of each, and that a judgement hangs on no block."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
import torch

from llmrec_assets.core import judging
from llmrec_assets.core.judging import Judgement, judge
from llmrec_assets.core.sequences import Catalogue, Sequences
from llmrec_assets.core.splits import leave_one_out, seen_before
from llmrec_assets_tests.core.examples import catalogue, sequences_of


@dataclass
class Shop:
    sequences: Sequences
    catalogue: Catalogue
    behaviors: list[str]


class Remembered:
    """Scores that are the same for a user each time, and counts how often it is asked."""

    def __init__(self, scores: torch.Tensor) -> None:
        self.scores, self.asked = scores, 0

    def logits(self, sequences: Sequences, ends: np.ndarray, users: np.ndarray) -> torch.Tensor:
        self.asked += len(users)
        padding = torch.full((len(users), 1), float("-inf"))
        return torch.cat([padding, self.scores[users]], 1)


def shop(n_users=90, n_items=40, text=True):
    rng = np.random.default_rng(2)
    users = [rng.integers(1, n_items + 1, rng.integers(1, 30)).tolist() for _ in range(n_users)]
    return Shop(sequences_of(users), catalogue(n_items, text=text), ["buy"])


def scorers(data, clever=0.0):
    """A random scorer, a constant one, and a challenger that knows some of the targets."""
    torch.manual_seed(0)
    shape = (data.sequences.n_users, data.catalogue.n_items)
    noise = torch.randn(shape)
    split = leave_one_out(data.sequences)
    users = np.flatnonzero(split.test >= 0)
    better = noise.clone()
    better[users, data.sequences.items[split.test[users]] - 1] += clever
    return [
        ("noise", "baseline", Remembered(noise)),
        ("gru-1", "challenger", Remembered(better)),
        ("constant", "baseline", Remembered(torch.zeros(shape))),
    ]


def test_a_judgement_is_equal_for_any_block(monkeypatch):
    data = shop()
    split = leave_one_out(data.sequences)
    whole = judge("leave_one_out", scorers(data, 1.0), data, split, curve_users=50)
    for block in (1, 7):
        monkeypatch.setattr(judging, "rows_of", lambda _, block=block: block)
        parts = judge("leave_one_out", scorers(data, 1.0), data, split, curve_users=50)
        for one, other in zip(vars(whole).values(), vars(parts).values(), strict=True):
            pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_every_scorer_is_asked_once_for_each_user_and_told_everything():
    data = shop()
    split = leave_one_out(data.sequences)
    judged = scorers(data)
    found = judge("leave_one_out", judged, data, split)
    users = int((split.test >= 0).sum())
    assert [scorer.asked for _, _, scorer in judged] == [users] * 3
    told = found.rows.groupby("scorer")["metric"].agg(set)
    assert told["noise"] == told["constant"] == told["gru-1"]
    assert {"mrr_at_20", "masked_ndcg_at_5", "novelty_at_10", "diversity_at_10"} <= told["noise"]
    assert set(found.rows["users"]) == {users}
    assert found.rows["score"].notna().all()


def test_slices_of_a_dimension_add_up_to_the_whole():
    data = shop()
    found = judge("leave_one_out", scorers(data, 1.0), data, leave_one_out(data.sequences))
    whole = found.rows.set_index(["scorer", "metric"])["score"]
    for (scorer, _), own in found.slices.groupby(["scorer", "dimension"]):
        for metric in ("masked_ndcg_at_10", "masked_recall_at_10"):
            mean = (own[metric] * own["users"]).sum() / own["users"].sum()
            assert mean == pytest.approx(whole[scorer, metric])
    assert set(found.slices["dimension"]) == {
        "history_length",
        "target_popularity",
        "target_behavior",
        "same_day",
    }


def test_intervals_compare_the_challenger_with_every_other():
    data = shop()
    split = leave_one_out(data.sequences)
    found = judge("leave_one_out", scorers(data, 3.0), data, split)
    scores = found.rows.set_index(["scorer", "metric"])["score"]
    assert found.intervals["scorer"].tolist() == ["noise", "noise", "constant", "constant"]
    for row in found.intervals.itertuples():
        lead = scores["gru-1", row.metric] - scores[row.scorer, row.metric]
        assert row.difference == pytest.approx(lead)
        assert 0 < row.lower < row.difference < row.upper
    alike = judge("leave_one_out", scorers(data), data, split).intervals
    assert (alike.loc[alike["scorer"] == "noise", ["lower", "upper"]] == 0).all(axis=None)


def test_a_champion_is_compared_where_the_challenger_must_not_lose():
    data = shop(n_users=200)
    split = leave_one_out(data.sequences)
    (name, _, noise), challenger, _ = scorers(data, 3.0)
    judged = [("older", "champion", noise), challenger]
    found = judge("leave_one_out", judged, data, split)
    told = found.guarded.set_index("slice")
    assert set(told["scorer"]) == {"older"}
    assert {"new_users", "behavior buy"} <= set(told.index)
    everybody = told.loc["behavior buy"]
    overall = found.intervals[found.intervals["metric"] == "masked_ndcg_at_10"].iloc[0]
    for number in ("difference", "lower", "upper", "users"):
        assert everybody[number] == pytest.approx(overall[number])
    scores = found.rows.set_index(["scorer", "metric"])["score"]
    assert everybody["score"] == pytest.approx(scores["older", "masked_ndcg_at_10"])
    few = told.loc["new_users"]
    assert 0 < few["users"] < everybody["users"]
    assert few["lower"] < few["difference"] < few["upper"]
    alone = judge("leave_one_out", [(name, "baseline", noise), challenger], data, split)
    assert alone.guarded.empty


def test_a_constant_score_earns_the_share_of_a_random_list():
    data = shop(n_users=400)
    sequences, split = data.sequences, leave_one_out(data.sequences)
    found = judge("leave_one_out", scorers(data)[2:], data, split)
    unseen = [
        data.catalogue.n_items
        - len(set(sequences.items[start:target].tolist()) - {sequences.items[target]})
        for start, target in zip(sequences.starts, split.test, strict=True)
        if target >= 0
    ]
    scores = found.rows.set_index("metric")["score"]
    assert scores["recall_at_10"] == pytest.approx(10 / 40)
    expected = np.mean([min(1.0, 10 / candidates) for candidates in unseen])
    assert scores["masked_recall_at_10"] == pytest.approx(expected)
    assert found.intervals.empty


def test_nobody_and_no_challenger_leave_tables_with_their_columns():
    data = Shop(sequences_of([[1], [2]]), catalogue(3, text=False), ["buy"])
    split = leave_one_out(data.sequences)
    scores = [("flat", "challenger", Remembered(torch.zeros(2, 3))),
              ("other", "baseline", Remembered(torch.zeros(2, 3)))]  # fmt: skip
    empty = judge("global_time", scores, data, split)
    assert (empty.rows["users"] == 0).all()
    assert empty.slices.empty and empty.intervals.empty and empty.guarded.empty
    full = judge("leave_one_out", scorers(shop()), shop(), leave_one_out(shop().sequences))
    joined = Judgement.joined([full, empty], [empty.rows.assign(metric="further")])
    assert joined.intervals["difference"].dtype == float
    assert joined.slices["users"].dtype.kind == "i"
    assert len(joined.rows) == len(full.rows) + 2 * len(empty.rows)


def test_the_curve_begins_with_what_the_challenger_scores_and_asks_no_more_of_it():
    data = shop()
    split = leave_one_out(data.sequences)
    judged = scorers(data, 3.0)
    found = judge("leave_one_out", judged, data, split, curve_users=500)
    users = int((split.test >= 0).sum())
    assert [scorer.asked for _, _, scorer in judged] == [users] * 3
    scores = found.rows.set_index(["scorer", "metric"])["score"]
    first = found.curve.iloc[0]
    assert (first["scorer"], first["role"], first["users"]) == ("gru-1", "challenger", users)
    assert first["masked_ndcg_at_10"] == pytest.approx(scores["gru-1", "masked_ndcg_at_10"])
    assert first["cost"] == 0
    variety = found.curve["diversity_at_10"]
    assert (variety.diff()[1:4] > 0).all(), "each weight makes lists more varied than the last"
    assert found.curve["masked_ndcg_at_10"].iloc[-1] < first["masked_ndcg_at_10"]


def test_the_curve_is_of_the_users_drawn_and_without_challenger_of_the_best():
    data = shop()
    split = leave_one_out(data.sequences)
    noise, (name, _, better), constant = scorers(data, 3.0)
    judged = [noise, (name, "baseline", better), constant]
    few, again, other = (
        judge("leave_one_out", judged, data, split, curve_users=20, seed=seed).curve
        for seed in (0, 0, 1)
    )
    assert set(few["scorer"]) == {"gru-1"}
    assert set(few["users"]) == {20}
    pd.testing.assert_frame_equal(few, again)
    assert not few.equals(other)
    assert judge("leave_one_out", judged, data, split).curve.empty
    bare = shop(text=False)
    assert judge("leave_one_out", judged, bare, split, curve_users=20).curve.empty


def test_where_lists_hide_what_was_seen_the_gate_is_told_of_unseen_targets():
    data = shop(n_users=200)
    split = leave_one_out(data.sequences)
    (_, _, noise), challenger, _ = scorers(data, 3.0)
    judged = [("older", "champion", noise), challenger]
    found = judge("leave_one_out", judged, data, split, unseen=True)
    unseen = (split.test >= 0) & ~seen_before(data.sequences, split.test)
    assert 30 < unseen.sum() < (split.test >= 0).sum()
    only = replace(split, test=np.where(unseen, split.test, -1))
    alone = judge("leave_one_out", judged, data, only)
    rows = found.rows[found.rows["metric"] == "unseen_ndcg_at_10"].set_index("scorer")
    expected = alone.rows[alone.rows["metric"] == "masked_ndcg_at_10"].set_index("scorer")
    for name in ("older", "gru-1"):
        assert rows["score"][name] == pytest.approx(expected["score"][name])
        assert rows["users"][name] == unseen.sum()
    own = found.intervals.set_index("metric").loc["unseen_ndcg_at_10"]
    other = alone.intervals.set_index("metric").loc["masked_ndcg_at_10"]
    for number in ("difference", "lower", "upper", "users"):
        assert own[number] == pytest.approx(other[number])
    slices = found.guarded.set_index("slice")["users"]
    assert slices["behavior buy"] == unseen.sum()
    everything = judge("leave_one_out", judged, data, split)
    assert not everything.rows["metric"].str.startswith("unseen").any()


def test_where_lists_show_what_was_seen_everything_is_told_of_lists_that_do():
    data = shop(n_users=200)
    split = leave_one_out(data.sequences)
    (_, _, noise), (name, _, better), _ = scorers(data, 3.0)
    # Knows the targets, but puts all of the history first: no worse where that is masked.
    owners = np.repeat(np.arange(data.sequences.n_users), np.diff(data.sequences.offsets))
    clinging = better.scores.clone()
    past = np.arange(len(owners)) < split.test[owners]
    clinging[owners[past], data.sequences.items[past] - 1] += 100
    judged = [("older", "champion", noise), (name, "challenger", Remembered(clinging))]
    shown = judge("leave_one_out", judged, data, split, hide_seen=False, unseen=True, curve_users=9)
    hidden = judge("leave_one_out", judged, data, split, curve_users=9)
    both = [
        found.rows[found.rows["metric"].str.contains("ndcg|recall")] for found in (shown, hidden)
    ]
    pd.testing.assert_frame_equal(*both)  # both kinds are told, whichever decides
    pd.testing.assert_frame_equal(shown.slices, hidden.slices)
    scores = shown.rows.set_index(["scorer", "metric"])["score"]
    assert set(shown.intervals["metric"]) == {"ndcg_at_10", "recall_at_10"}
    overall = shown.intervals.set_index("metric").loc["ndcg_at_10"]
    everybody = shown.guarded.set_index("slice").loc["behavior buy"]
    lead = scores[name, "ndcg_at_10"] - scores["older", "ndcg_at_10"]
    assert overall["difference"] == pytest.approx(lead)
    assert everybody["difference"] == pytest.approx(lead)
    assert everybody["score"] == pytest.approx(scores["older", "ndcg_at_10"])
    masked = hidden.intervals.set_index("metric").loc["masked_ndcg_at_10"]
    assert masked["difference"] > lead + 0.1
    assert {"ndcg_at_10"} == {name for name in shown.curve if name.endswith("ndcg_at_10")}
    own = [found.rows.set_index(["scorer", "metric"])["score"] for found in (shown, hidden)]
    lists = [scores[name, "popularity_lift_at_10"] for scores in own]
    assert abs(lists[0]) < abs(lists[1])  # lists of what was seen are as popular as histories
