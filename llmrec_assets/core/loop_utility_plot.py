"""The worth of every way to recommend, cycle by cycle, drawn with its spread over seeds."""

import pandas as pd
from matplotlib.figure import Figure

STYLES = {
    "oracle": ("tab:gray", "--"),
    "loop": ("tab:green", "-"),
    "refreshed": ("tab:orange", ":"),
    "frozen": ("tab:red", "-"),
    "popularity": ("tab:blue", "-"),
}


def loop_utility_plot(cycles: pd.DataFrame, turns: dict[str, int]) -> Figure:
    """A panel for each set of parameters.

    Args:
        cycles: as `loop_utility.by_cycle` makes it.
        turns: the first cycle after the change, by parameters.
    """
    names = list(dict.fromkeys(cycles["parameters"]))
    figure = Figure(figsize=(4.5 * len(names), 3.2), layout="constrained")
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    for panel, name in zip(panels, names, strict=True):
        shown = cycles[cycles["parameters"] == name]
        for arm, (colour, line) in STYLES.items():
            own = shown[shown["arm"] == arm].sort_values("cycle")
            low, high = own["mean"] - own["spread"], own["mean"] + own["spread"]
            panel.plot(own["cycle"], own["mean"], line, color=colour, label=arm)
            panel.fill_between(own["cycle"], low, high, color=colour, alpha=0.15, linewidth=0)
        panel.axvline(turns[name] - 0.5, color="black", linewidth=0.8, linestyle=":")
        panel.set_ylim(bottom=0)
        panel.set_title(f"{name}, {shown['seeds'].max()} seeds", fontsize="medium")
        panel.set_xlabel("cycle; tastes turn at the dotted line")
    panels[0].set_ylabel("expected wanted clicks a list")
    panels[-1].legend(fontsize="small", loc="center", ncols=2)  # where nothing runs
    return figure
