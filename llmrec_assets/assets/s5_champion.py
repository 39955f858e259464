"""Stage 5: which model serves, by the gate or by hand."""

from typing import Literal

import dagster as dg
from pydantic import Field

from llmrec_assets.assets import champion_steps, s5_evaluation
from llmrec_assets.assets.table_metadata import (
    markdown,
    run_metadata,
    static_metadata,
    table_schema,
)
from llmrec_assets.core.gate_evidence import Thresholds
from llmrec_assets.resources.arrays import Arrays
from llmrec_assets.resources.registry import Registry
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.settings import setting
from llmrec_assets.sql.s5_gate import GATE_EVIDENCE
from llmrec_assets.sql.s5_model import CHAMPION_MODEL

DEFAULTS = Thresholds()


class GateConfig(dg.Config):
    """When a challenger takes over from the champion. The defaults work without tuning."""

    tolerance: float = Field(
        default=setting("GATE_TOLERANCE", DEFAULTS.tolerance, minimum=0),
        description="Share of the champion's NDCG@10 that the lower end of the interval may lose.",
        ge=0,
    )
    users: int = Field(
        default=setting("GATE_USERS", DEFAULTS.users, minimum=1),
        description="Held-out users below which the gate asks for more data.",
        ge=1,
    )
    slice_tolerance: float = Field(
        default=DEFAULTS.slice_tolerance,
        description="Share of the champion's NDCG@10 among new users, for cold items or for a"
        " behaviour that may surely be lost.",
        ge=0,
    )
    slice_users: int = Field(
        default=DEFAULTS.slice_users, description="Users below which a slice has no say.", ge=1
    )
    coverage: float = Field(
        default=DEFAULTS.coverage,
        description="Least share of the champion's coverage of the catalogue.",
        ge=0,
    )
    gini: float = Field(
        default=DEFAULTS.gini,
        description="Most that the Gini index of exposure may rise.",
        ge=0,
    )
    effective_sample: float = Field(
        default=DEFAULTS.effective_sample,
        description="Explored slots, by effective sample, below which they have no say.",
        ge=1,
    )
    approval: bool = Field(
        default=setting("APPROVAL", DEFAULTS.approval),
        description="A challenger that wins waits for the job approve.",
    )
    by_hand: Literal["", "rollback", "approve"] = Field(
        default="", description="Serve `version` and judge nothing; set by the jobs of that name."
    )
    version: str = Field(default="", description="Of a rollback or an approval.")
    because: str = Field(default="", description="Why, for the record.")

    def thresholds(self) -> Thresholds:
        """The same choices as the core takes them."""
        return Thresholds(**self.model_dump(exclude={"by_hand", "version", "because"}))


@dg.asset(
    deps=[s5_evaluation.model_evaluation],
    kinds={"mlflow"},
    owners=["team:ml"],
    metadata={
        **static_metadata(CHAMPION_MODEL),
        GATE_EVIDENCE.full_name: table_schema(GATE_EVIDENCE),
    },
)
def champion_model(
    context: dg.AssetExecutionContext,
    config: GateConfig,
    warehouse: Warehouse,
    arrays: Arrays,
    registry: Registry,
) -> dg.MaterializeResult:
    """One row per decision: who serves, by the gate or by hand, and why.

    The gate compares challenger, champion and baselines; its tests are in `gate_evidence`.
    """
    if config.by_hand:
        verdict = champion_steps.by_hand(
            config.version, config.by_hand == "approve", config.because, warehouse, arrays, registry
        )
    else:
        verdict = champion_steps.judge_newest(warehouse, registry, config.thresholds())
    evidence = champion_steps.put_in_service(verdict, warehouse, registry)
    decision = verdict.decision
    context.log.info(f"{decision.outcome}: {decision.served} serves ({decision.reason})")
    for rule in evidence["rule"]:
        if rule.endswith("no estimate"):
            context.log.warning(f"off-policy: {rule}")
    with warehouse.connect() as connection:
        metadata = run_metadata(connection, CHAMPION_MODEL)
    return dg.MaterializeResult(
        metadata={
            **metadata,
            "outcome": decision.outcome,
            "served": decision.served,
            "kind": decision.kind,
            "reason": decision.reason,
            "judged_through": verdict.through,
            "challenger": verdict.challenger,
            "evidence": dg.MetadataValue.md(markdown(evidence)),
        }
    )
