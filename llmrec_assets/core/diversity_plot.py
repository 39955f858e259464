"""A plot of what diversity costs."""

import pandas as pd
from matplotlib.figure import Figure


def diversity_plot(curve: pd.DataFrame, chosen: float) -> Figure:
    """NDCG@10 against distance within a list, coverage and novelty, a point for each weight.

    Args:
        curve: as `diversity_curve` makes it.
        chosen: the weight that is marked.
    """
    quality = next(name for name in curve.columns if name.endswith("ndcg_at_10"))
    figure = Figure(figsize=(9, 3), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    spread = (curve["upper"] - curve["difference"], curve["difference"] - curve["lower"])
    marked = curve[curve["weight"] == chosen]
    for panel, name in zip(panels, ("diversity", "coverage", "novelty"), strict=True):
        across = curve[f"{name}_at_10"]
        errors = [spread[1], spread[0]]
        panel.errorbar(across, curve[quality], errors, fmt="o-", markersize=3, linewidth=0.8)
        panel.plot(marked[f"{name}_at_10"], marked[quality], "o", color="tab:red", zorder=3)
        for weight, x, y in zip(curve["weight"], across, curve[quality], strict=True):
            panel.annotate(f"{weight:g}", (x, y), (3, 4), textcoords="offset points", fontsize=7)
        panel.set_xlabel(f"{name}@10")
    panels[0].set_ylabel(quality.replace("_ndcg_at_10", " NDCG@10"))
    return figure
