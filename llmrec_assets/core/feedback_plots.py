"""Plots of how users answered: where responses come from, at which rank, and day by day."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

VERSIONS_SHOWN = 4
MEASURES = (("click_through", "click-through"), ("conversion", "conversion"), ("ndcg", "NDCG"))


def attribution_plot(flows: pd.DataFrame, by_rank: pd.DataFrame) -> Figure:
    """Responses by what caused them, a bar for each model version, and click-through by rank.

    Args:
        flows: columns attribution, model_version, response, responses.
        by_rank: columns model_version, rank, impressions, click_through and its interval.
    """
    figure = Figure(figsize=(12, 4), layout="constrained")
    bars, ranks = figure.subplots(1, 2)
    kinds = flows[flows["response"] != "impression"]
    shown = kinds if len(kinds) else flows
    causes = shown["attribution"].replace({"none": "organic"}) + " " + shown["model_version"]
    table = shown.assign(cause=causes.str.strip()).pivot_table(
        index="cause", columns="response", values="responses", aggfunc="sum", fill_value=0
    )
    if len(table):
        table.plot.barh(ax=bars, stacked=True, colormap="tab20")
        bars.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    bars.set(xlabel="responses, impressions apart" if len(kinds) else "impressions", ylabel="")
    for place, version in enumerate(_most_shown(by_rank)):
        own = by_rank[by_rank["model_version"] == version]
        _line(ranks, own["rank"] + 0.1 * place, own, "click_through", version, f"C{place}")
    ranks.set(xlabel="rank", ylabel="click-through, 95 % intervals")
    ranks.set_ylim(bottom=0)
    if len(by_rank):
        ranks.legend(fontsize="small")
    return figure


def daily_plot(daily: pd.DataFrame) -> Figure:
    """Every measure of daily_measures day by day, a line for each model version."""
    figure = Figure(figsize=(12, 6), layout="constrained")
    panels = figure.subplots(2, 3).ravel()
    names = [*MEASURES, ("coverage", "coverage"), ("gini", "Gini"), ("top_share", "top 1 %")]
    for panel, (name, label) in zip(panels, names, strict=True):
        for place, version in enumerate(_most_shown(daily)):
            own = daily[daily["model_version"] == version]
            if f"{name}_lower" in own:
                _line(panel, own["day"], own, name, version, f"C{place}")
            else:
                panel.plot(own["day"], own[name], marker=".", color=f"C{place}", label=version)
        panel.set(title=label)
        panel.set_ylim(0, 1.05 * panel.get_ylim()[1])
        panel.tick_params(axis="x", rotation=30, labelsize="small")
    if len(daily):
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _most_shown(frame: pd.DataFrame) -> list[str]:
    totals = frame.groupby("model_version")["impressions"].sum()
    return sorted(totals.nlargest(VERSIONS_SHOWN).index)


def _line(panel: Axes, x: pd.Series, own: pd.DataFrame, name: str, label: str, color: str) -> None:
    """A measure with its interval at every x."""
    panel.vlines(x, own[f"{name}_lower"], own[f"{name}_upper"], color=color, alpha=0.5)
    panel.plot(x, own[name], marker=".", color=color, label=label)
