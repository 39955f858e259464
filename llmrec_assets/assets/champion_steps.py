"""How a model comes to serve: by the gate or by hand, and what is written down about it.

Loads with the definitions; what imports torch is imported where it is used.
"""

import json
from dataclasses import asdict, dataclass
from typing import Any

import dagster as dg
import pandas as pd

from llmrec_assets.core.gate import Contest, Decision, decide
from llmrec_assets.core.gate_evidence import Thresholds
from llmrec_assets.resources.arrays import Arrays
from llmrec_assets.resources.registry import CHAMPION, Registry
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.sql import s5_gate as gate_sql
from llmrec_assets.sql import s5_model as model_sql
from llmrec_assets.sql.s1_batches import versions_that_saw


@dataclass(frozen=True)
class Verdict:
    """A decision, and what it was made on."""

    decision: Decision
    challenger: str  # judged by the gate, or put in service by hand
    champion: str | None  # it was compared with, or took over from
    through: int  # newest ingestion sequence number that was known
    thresholds: Thresholds | None = None  # None: made by hand
    after: str | None = None  # of one made by hand, the id of the decision before


def judge_newest(warehouse: Warehouse, registry: Registry, thresholds: Thresholds) -> Verdict:
    """The gate's verdict on the model trained last."""
    serving = registry.alias(CHAMPION)
    with warehouse.connect() as connection:
        tainted = versions_that_saw(connection)  # their merit may be of what was taken back
        serving = None if serving in tainted else serving
        training = model_sql.newest_training(connection)
        version, through = str(training["model_version"]), int(str(training["trained_through"]))
        scores = gate_sql.scores(connection, version)
        champion = next(
            (c for c in scores.get("champion", {}).items() if c[0] not in tainted), None
        )
        contest = Contest(
            baselines=scores["baseline"],
            challenger=next(iter(scores.get("challenger", {}).items()), None),
            champion=champion,
            comparison=gate_sql.comparison(connection, version),
            serving=serving,
            held=_held(serving, through, gate_sql.judged_through(connection, by_hand=True)),
        )
        compared = gate_sql.compared_with(connection, version, serving)
    return Verdict(decide(contest, thresholds), version, compared, through, thresholds)


def _held(serving: str | None, through: int, by_hand: int) -> str:
    """Why who serves goes on: a person chose it, and the challenger knows nothing newer."""
    if serving is None or through > by_hand:
        return ""
    return (
        f"{serving} was put in service by hand; a challenger that knows an event newer than"
        f" number {by_hand} may take over"
    )


def by_hand(
    version: str, approval: bool, because: str, warehouse: Warehouse, arrays: Arrays,
    registry: Registry,
) -> Verdict:  # fmt: skip
    """A person's verdict: `version` serves.

    Raises:
        dagster.Failure: there is no such version, it does not await approval, or it cannot rank.
    """
    known = registry.versions()
    if version not in known:
        raise dg.Failure(
            f"model version {version!r} is not registered; there are: {', '.join(known) or 'none'}",
            allow_retries=False,
        )
    with warehouse.connect() as connection:
        waiting = gate_sql.awaiting_approval(connection)
        through = gate_sql.judged_through(connection)
        before = model_sql.newest_decision(connection)
    if approval and version != waiting:
        raise dg.Failure(
            f"{version} does not await approval; {waiting or 'no version'} does. To serve any other"
            " version launch rollback",
            allow_retries=False,
        )
    from llmrec_assets.assets import list_steps

    served = {"kind": "model", "served": version}
    list_steps.serving_scorer(served, warehouse, arrays, registry)  # raises where it cannot rank
    serving, act = registry.alias(CHAMPION), "approved" if approval else "rolled back"
    instead = f"{act} by hand, in place of {serving or before['served']}"
    decision = Decision(
        "promoted" if approval else "rolled_back",
        version,
        "model",
        f"{instead}: {because}" if because else instead,
    )
    return Verdict(decision, version, serving, through, after=str(before["decision_id"]))


def put_in_service(verdict: Verdict, warehouse: Warehouse, registry: Registry) -> pd.DataFrame:
    """Write the verdict down and let it be so; the evidence as a table.

    The tables first: a run killed in between comes to the same decision again.
    """
    decision = verdict.decision
    thresholds = asdict(verdict.thresholds) if verdict.thresholds else None
    with warehouse.connect() as connection:
        decision_id = model_sql.record_decision(
            connection,
            verdict.challenger,
            verdict.through,
            decision,
            verdict.champion,
            thresholds,
            verdict.after,
        )
        evidence = gate_sql.record_evidence(connection, decision_id, decision.tests)
    if decision.kind == "model":
        registry.promote(decision.served, decision.reason)
    else:
        registry.demote()
    record: dict[str, Any] = {
        "decision_id": decision_id,
        **{name: getattr(decision, name) for name in model_sql.DECIDED},
        "challenger": verdict.challenger,
        "champion": verdict.champion,
        "judged_through": verdict.through,
        "by_hand": verdict.thresholds is None,
        "thresholds": thresholds,
        "tests": json.loads(evidence.to_json(orient="records")),
    }
    registry.record_decision(verdict.challenger, record)
    return evidence
