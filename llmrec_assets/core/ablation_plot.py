"""What each variant gains, drawn with its intervals."""

import pandas as pd
from matplotlib.figure import Figure

from llmrec_assets.core.ablation import SCORERS


def ablation_plot(table: pd.DataFrame, against: str, cut: int = 10) -> Figure:
    """NDCG of every variant, and how it differs from one of them with 95 % intervals.

    Args:
        table: as `ablation.table` makes it.
        against: the variant that the others are compared with.
        cut: of the metric.
    """
    shown = table[table["slice"] == "all"]
    names = list(dict.fromkeys(shown["variant"]))[::-1]
    figure = Figure(figsize=(11, 1.5 + 0.35 * len(names)), layout="constrained")
    scores, differences = figure.subplots(1, 2, sharey=True)
    for place, scorer in enumerate(SCORERS):
        own = shown[shown["scorer"] == scorer]
        heights = [names.index(name) + 0.2 * (0.5 - place) for name in own["variant"]]
        colour = f"C{place}"
        scores.errorbar(
            own["ndcg"], heights, xerr=own["ndcg_spread"].fillna(0), fmt=".", color=colour
        )
        scores.plot([], [], ".", color=colour, label=scorer)
        lower, upper = own[f"less_{against}_lower"], own[f"less_{against}_upper"]
        differences.hlines(heights, lower, upper, color=colour)
        differences.plot(own[f"less_{against}_difference"], heights, ".", color=colour)
    scores.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    scores.set_xlabel(f"NDCG@{cut}, mean and spread over seeds")
    scores.legend()
    differences.axvline(0, color="tab:gray", linewidth=0.8)
    differences.set_xlabel(f"less {against.replace('_', ' ')}, 95 % intervals")
    return figure
