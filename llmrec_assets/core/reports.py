"""What a judgement and a training look like: tables to read, and plots."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from llmrec_assets.core.deciding import told
from llmrec_assets.core.objectives import threshold_items
from llmrec_assets.core.ranking import Scorer
from llmrec_assets.core.sequences import Sequences
from llmrec_assets.core.training import EpochReport


def threshold_rows(
    name: str,
    scorer: Scorer,
    sequences: Sequences,
    targets: np.ndarray,
    thresholds: Sequence[float],
    block: int = 256,
) -> pd.DataFrame:
    """How a network trained with a sigmoid per item does as a filter instead of a ranking.

    Returns:
        Columns as the rows of a `Judgement`, and for each threshold two metrics: `items_above_t`,
        the mean number of items that reach it, and `recall_above_t`, the share of targets among
        them.
    """
    users = np.flatnonzero(targets >= 0)
    counts, found = np.zeros(len(thresholds)), np.zeros(len(thresholds))
    for chosen in np.split(users, range(block, len(users), block)):
        ends = targets[chosen]
        items = torch.from_numpy(sequences.items[ends].astype(np.int64))[:, None]
        logits = scorer.logits(sequences, ends, chosen)
        for index, reached in enumerate(threshold_items(logits, list(thresholds))):
            counts[index] += reached.sum().item()
            found[index] += reached.gather(1, items).sum().item()
    rows = [
        ("leave_one_out", name, "part", f"{metric}_above_{threshold:g}", total / max(len(users), 1))
        for metric, totals in (("items", counts), ("recall", found))
        for threshold, total in zip(thresholds, totals, strict=True)
    ]
    frame = pd.DataFrame(rows, columns=["protocol", "scorer", "role", "metric", "score"])
    return frame.assign(users=len(users))


def learning_curve_plot(curve: Sequence[EpochReport]) -> Figure:
    """Training loss and validation NDCG@10 by epoch."""
    figure = Figure(figsize=(6, 3.2), layout="constrained")
    loss = figure.subplots()
    epochs = [report.epoch for report in curve]
    loss.plot(epochs, [report.train_loss for report in curve], color="tab:gray", label="loss")
    loss.set(xlabel="epoch", ylabel="training loss")
    ndcg = loss.twinx()
    ndcg.plot(
        epochs, [report.validation_ndcg or 0.0 for report in curve], color="tab:blue", marker="."
    )
    ndcg.set_ylabel("validation NDCG@10", color="tab:blue")
    return figure


def tuning_plot(curve: Sequence[tuple[int, float]], best_step: int) -> Figure:
    """NDCG@10 by text alone after so many steps of tuning."""
    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.plot(*zip(*curve, strict=True), marker=".")
    axes.axvline(best_step, color="tab:gray", linewidth=0.8)
    axes.set(xlabel="steps", ylabel="NDCG@10 by text alone")
    return figure


def score_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Every metric of every scorer, a line for each."""
    table = rows.pivot(index=["protocol", "scorer"], columns="metric", values="score")
    return table.round(4).reset_index()


def slice_table(slices: pd.DataFrame, metric: str) -> pd.DataFrame:
    """One metric by slice, a column for each scorer."""
    keys = ["protocol", "dimension", "position", "slice", "users"]
    table = slices.pivot(index=keys, columns="scorer", values=metric)
    return table.round(4).reset_index().drop(columns="position")


def evaluation_plot(rows: pd.DataFrame, intervals: pd.DataFrame, hides_seen: bool = True) -> Figure:
    """NDCG@10 and Recall@10 of every scorer, and what the challenger has more of them.

    A column of panels for each protocol; the lower panel shows the intervals.
    """
    protocols = sorted(rows["protocol"].unique(), reverse=True)
    figure = Figure(figsize=(6 * len(protocols), 6), layout="constrained")
    panels = figure.subplots(2, len(protocols), squeeze=False)
    for (bars, whiskers), protocol in zip(panels.T, protocols, strict=True):
        table = rows[rows["protocol"] == protocol].pivot(
            index="scorer", columns="metric", values="score"
        )
        shown = table[[f"{told(hides_seen)}{name}_at_10" for name in ("ndcg", "recall")]]
        shown.plot.barh(ax=bars, legend=False)
        bars.set(ylabel="", title=protocol.replace("_", " "))
        _draw_intervals(whiskers, intervals[intervals["protocol"] == protocol])
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _draw_intervals(panel: Axes, intervals: pd.DataFrame) -> None:
    """A line from lower to upper for every scorer and metric; zero means no difference."""
    panel.set_visible(len(intervals) > 0)
    scorers = sorted(intervals["scorer"].unique())
    for place, (_, own) in enumerate(intervals.groupby("metric")):
        heights = [scorers.index(scorer) + 0.2 * place for scorer in own["scorer"]]
        panel.hlines(heights, own["lower"], own["upper"], color=f"C{place}")
        panel.plot(own["difference"], heights, ".", color=f"C{place}")
    panel.axvline(0, color="tab:gray", linewidth=0.8)
    panel.set_yticks(range(len(scorers)), scorers)
    panel.set(xlabel="challenger less scorer, 95 % intervals")
