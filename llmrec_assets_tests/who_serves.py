"""Who serves on a store: decided by hand, without the gate, and asked for."""

from llmrec_assets.core.gate import Decision
from llmrec_assets.resources.wiring import resources_of
from llmrec_assets.sql import s5_model as model_sql


def let_serve(layout, who="model"):
    """Let the newest model, or the baseline `who`, serve; the model's version."""
    resources = resources_of(layout)
    with resources["warehouse"].connect() as connection:
        row = model_sql.newest_training(connection)
        version, through = str(row["model_version"]), int(row["trained_through"])
        if who == "model":
            kind = {"outcome": "promoted", "served": version, "kind": "model"}
        else:
            kind = {"outcome": "kept", "served": who, "kind": "baseline"}
        decision = Decision(**kind, reason="a test")
        model_sql.record_decision(connection, version, through, decision)
    if who != "model":
        resources["registry"].demote()
    return version


def who_serves(layout):
    """The newest decision's `list_steps.Serving`."""
    from llmrec_assets.assets import list_steps

    used = resources_of(layout)
    with used["warehouse"].connect() as connection:
        decision = model_sql.newest_decision(connection)
    return list_steps.serving_scorer(
        decision, *(used[name] for name in ("warehouse", "arrays", "registry"))
    )
