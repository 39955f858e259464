"""Scores of several scorers as a table, and the plots of training and evaluation."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from llmrec_assets.core.objectives import threshold_items
from llmrec_assets.core.ranking import Scorer, evaluate
from llmrec_assets.core.sequences import Sequences
from llmrec_assets.core.training import EpochReport


def evaluation_rows(
    protocol: str,
    scorers: Sequence[tuple[str, str, Scorer]],
    sequences: Sequences,
    targets: np.ndarray,
) -> pd.DataFrame:
    """Every metric of every scorer (name, role, scorer) on the same targets.

    Returns:
        Columns protocol, scorer, role, metric, score, users.
    """
    rows = []
    for name, role, scorer in scorers:
        summary = evaluate(scorer, sequences, targets).summary()
        users = int(summary.pop("users"))
        rows += [(protocol, name, role, metric, score, users) for metric, score in summary.items()]
    columns = ["protocol", "scorer", "role", "metric", "score", "users"]
    return pd.DataFrame(rows, columns=columns).astype({"score": float, "users": int})


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
        Columns as `evaluation_rows`, and for each threshold two metrics: `items_above_t`, the mean
        number of items that reach it, and `recall_above_t`, the share of targets among them.
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


def evaluation_plot(rows: pd.DataFrame) -> Figure:
    """Masked NDCG@10 and Recall@10 of every scorer, a panel for each protocol."""
    protocols = sorted(rows["protocol"].unique(), reverse=True)
    figure = Figure(figsize=(4.5 * len(protocols), 3.2), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(protocols), sharey=True))
    for panel, protocol in zip(panels, protocols, strict=True):
        table = rows[rows["protocol"] == protocol].pivot(
            index="scorer", columns="metric", values="score"
        )
        shown = table[["masked_ndcg_at_10", "masked_recall_at_10"]]
        shown.plot.bar(ax=panel, rot=15, legend=panel is panels[0])
        panel.set(xlabel="", title=protocol.replace("_", " "))
    return figure
