"""The files beside the tables: whether they are as they were written."""

from collections.abc import Iterator

from llmrec_assets.layout import Layout
from llmrec_assets.operations.findings import Finding
from llmrec_assets.operations.trouble import databases as databases_of
from llmrec_assets.resources.arrays import Arrays
from llmrec_assets.resources.landing import Landing
from llmrec_assets.resources.registry import Registry
from llmrec_assets.resources.sqlite_files import broken
from llmrec_assets.resources.wiring import resources_of


def databases(layout: Layout) -> Iterator[Finding]:
    """Whether MLflow's and Dagster's databases can be read."""
    found = broken(databases_of(layout))
    says = "; ".join(f"{path.relative_to(layout.root)} {why}" for path, why in found.items())
    yield Finding(
        "databases",
        not found,
        says or "MLflow's and Dagster's can be read",
        "put them back from a backup; Dagster's may be moved away instead: the history of runs"
        " begins anew, the data stays",
    )


def arrays(layout: Layout) -> Iterator[Finding]:
    """Whether the arrays are as they were written."""
    damaged = [
        str(path.relative_to(layout.root)) for path in Arrays(root=str(layout.arrays)).damaged()
    ]
    yield Finding.unless(
        damaged,
        "arrays",
        "changed since they were written:",
        "every seal fits",
        "launch the job refresh_lists (of heads/: retrain_with_encoder), which makes them anew",
    )


def models(layout: Layout) -> Iterator[Finding]:
    """Whether the files of every registered version are as they were registered."""
    if not layout.mlflow_database.is_file() or broken([layout.mlflow_database]):
        return  # not there yet, or told by `databases`
    resources = resources_of(layout)
    registries: list[Registry] = [resources["registry"], resources["encoder_registry"]]
    damaged = [error for registry in registries for error in registry.damaged()]
    yield Finding(
        "models",
        not damaged,
        "; ".join(str(error).partition(" → ")[0] for error in damaged) or "every checksum fits",
        "; ".join(dict.fromkeys(error.remedy for error in damaged)),
    )


def landing(layout: Layout) -> Iterator[Finding]:
    """Files of the landing zone that wait, and such that a killed writer left half."""
    folder = Landing(root=str(layout.root), settle_seconds=0)
    for kind in ("events", "items", "feedback", "lists"):
        waiting = folder.scan(kind).unfinished
        yield Finding(
            f"landing/{kind}",
            not waiting,
            f"not read: {', '.join(waiting)}" if waiting else "no file is half written",
            "close the program that writes them, or give the user that runs llmrec access",
        )
