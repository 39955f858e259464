"""The study of the loop: what it is worth to simulated users whose tastes drift and turn."""

from dataclasses import asdict
from typing import Any

import dagster as dg
import pandas as pd
from pydantic import Field, field_validator

from llmrec_assets.assets import plots
from llmrec_assets.assets.table_metadata import markdown, run_metadata, static_metadata
from llmrec_assets.core.loop_utility import by_cycle, claims
from llmrec_assets.resources.simulator import CYCLES, PARAMETER_NAMES, Plan, Simulator
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.sql.loop_study import LOOP_UTILITY, record_cycles


class LoopConfig(dg.Config):
    """Which simulations are played."""

    parameters: list[str] = Field(
        default=list(PARAMETER_NAMES),
        description="Of the simulated users: the loop may be tuned on the first, never on the"
        " second.",
        min_length=1,
    )
    seeds: int = Field(default=5, description="Simulations of each, from seed 0 upwards.", ge=1)
    cycles: int = Field(default=CYCLES, description="Of each; tastes turn after some.", ge=2)

    @field_validator("parameters")
    @classmethod
    def _known(cls, names: list[str]) -> list[str]:
        unknown = sorted(set(names) - set(PARAMETER_NAMES))
        if unknown:
            raise ValueError(f"unknown {unknown}: choose of {', '.join(PARAMETER_NAMES)}")
        return list(dict.fromkeys(names))


@dg.asset(
    kinds={"torch"}, owners=["team:ml"], pool="training", metadata=static_metadata(LOOP_UTILITY)
)
def loop_utility(
    context: dg.AssetExecutionContext,
    config: LoopConfig,
    warehouse: Warehouse,
    simulator: Simulator,
) -> dg.MaterializeResult:
    """One row per simulated loop, cycle and arm: the true utility of its lists.

    Each loop has a store of its own below the root, and goes through the same jobs, sensors and
    gate as this one. What was played before is not played again.
    """
    plans = [
        Plan(parameters, seed, config.cycles)
        for seed in range(config.seeds)
        for parameters in config.parameters
    ]
    records = [(plan, simulator.play(plan, context.log.info)) for plan in plans]
    rows = pd.concat([table_of(plan, own) for plan, own in records], ignore_index=True)
    turns = {plan.parameters: int(own[0]["turns"]) for plan, own in records}
    with warehouse.connect() as connection:
        record_cycles(connection, rows)
        metadata = run_metadata(connection, LOOP_UTILITY)
    return dg.MaterializeResult(metadata={**metadata, **shown(rows, turns)})


def table_of(plan: Plan, records: list[dict[str, Any]]) -> pd.DataFrame:
    """The records of a simulation as rows of the table."""
    return pd.DataFrame([
        {
            "parameters": plan.parameters,
            "seed": plan.seed,
            "cycle": record["cycle"],
            "arm": arm,
            "utility": utility,
            "works": " ".join(record["works"]),
            "outcome": record["outcome"],
            "served": record["served"],
            "cpu_seconds": record["cpu_seconds"],
        }
        for record in records
        for arm, utility in record["utility"].items()
    ])  # fmt: skip


def shown(rows: pd.DataFrame, turns: dict[str, int]) -> dict[str, Any]:
    """What the simulations say: claims, a table by cycle and a plot, as metadata."""
    from llmrec_assets.core.loop_utility_plot import loop_utility_plot

    cycles = by_cycle(rows)
    found = [
        claim
        for name, own in rows.groupby("parameters", sort=False)
        for claim in claims(own, turns[str(name)])
    ]
    wide = cycles.pivot(index=["parameters", "cycle"], columns="arm", values="mean")
    return {
        "claims": dg.MetadataValue.md(markdown(pd.DataFrame(map(asdict, found)).round(4))),
        "shown": sum(claim.shown for claim in found),
        "not_shown": sum(not claim.shown for claim in found),
        "utility_by_cycle": dg.MetadataValue.md(markdown(wide.round(3).reset_index())),
        "plot": plots.as_metadata(loop_utility_plot(cycles, turns)),
    }
