"""A trained model as files: safetensors, and a JSON of its config and vocabulary."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel

if TYPE_CHECKING:
    import torch

PACKAGE = "package.json"


class PackageInfo(BaseModel):
    """What must be known to use the weights. Ids are external; a code is a place in a list."""

    version: str
    config: dict[str, Any]
    items: list[str]
    behaviors: list[str]
    encoder: str
    statistics_version: str
    scaling: Literal["z-score", "min-max"]
    data_fingerprint: str
    code_version: str
    trained_through: int
    started_from: str = ""  # version whose weights were trained on; empty for a fresh start
    fresh_through: int = 0  # trained_through of the fresh start that it goes back to
    best_epoch: int
    validation_ndcg_at_10: float
    powers: dict[str, float]  # of the experts that make the prior
    features: list[str]  # that the reranker reads, in order


@dataclass(frozen=True)
class ModelPackage:
    """One model version: a fit to judge it by, and the one of the same setting on all events."""

    info: PackageInfo
    evaluation: "dict[str, torch.Tensor]"
    final: "dict[str, torch.Tensor]"
    reranker: "dict[str, torch.Tensor]"  # empty where it would not help


def save(package: ModelPackage, folder: Path) -> None:
    """Write the package's files into `folder`."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    save_file(package.evaluation, folder / "evaluation.safetensors")
    save_file(package.final, folder / "final.safetensors")
    save_file(package.reranker, folder / "reranker.safetensors")
    (folder / PACKAGE).write_text(package.info.model_dump_json(indent=1), encoding="utf-8")


def load_info(folder: Path) -> PackageInfo:
    """Read what a package says of itself.

    Raises:
        FileNotFoundError: package.json is missing.
        pydantic.ValidationError: it is not of this form.
    """
    return PackageInfo.model_validate_json((folder / PACKAGE).read_text(encoding="utf-8"))


def load(folder: Path) -> ModelPackage:
    """Read a package.

    Raises:
        FileNotFoundError: a file is missing.
        pydantic.ValidationError: package.json is not of this form.
    """
    from safetensors.torch import load_file

    return ModelPackage(
        load_info(folder),
        evaluation=load_file(folder / "evaluation.safetensors"),
        final=load_file(folder / "final.safetensors"),
        reranker=load_file(folder / "reranker.safetensors"),
    )
