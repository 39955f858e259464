"""A plot of drift; without torch, because it is drawn whenever files come in."""

import pandas as pd
from matplotlib.figure import Figure


def drift_plot(history: pd.DataFrame) -> Figure:
    """Every measure by the newest event that it was measured with, below its threshold or not.

    Args:
        history: columns measure, value, floor, threshold and events_through, in order of time.
    """
    measures = sorted(history["measure"].unique())
    figure = Figure(figsize=(6, 1 + 1.6 * len(measures)), layout="constrained")
    panels = figure.subplots(len(measures), squeeze=False)[:, 0]
    for panel, measure in zip(panels, measures, strict=True):
        own = history[history["measure"] == measure]
        for name, style in (("value", "o-"), ("threshold", "--"), ("floor", ":")):
            panel.plot(own["events_through"], own[name], style, markersize=3, label=name)
        panel.set_ylabel(measure.replace("_", "\n"), fontsize="small")
    panels[0].legend(loc="upper left", ncols=3, fontsize="small")
    panels[-1].set_xlabel("newest event")
    return figure
