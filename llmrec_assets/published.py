"""What the pipeline publishes for online services: a folder with all that its lists were made of.

serving/current.json             {"package": "<id>"}, replaced atomically
serving/packages/<id>/           never changes; the newest two are kept
    package.json                 `PublishedInfo`, with the SHA-256 of every other file
    scorer.json, scorer.safetensors, snapshot.safetensors
    items.parquet                in the order of codes, from code 1
    users.parquet                in the order of codes, with the id of each list
    lists.parquet                the published lists
"""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from pydantic import BaseModel
from safetensors.torch import load_file, save_file

from llmrec_assets.core.behaviors import Behavior
from llmrec_assets.core.lists import Hidden, ListSettings
from llmrec_assets.core.new_events import ItemFacts, Scales
from llmrec_assets.core.online import Snapshot, StepTexts
from llmrec_assets.core.scorer_state import ScorerState, scorer_of, state_of
from llmrec_assets.core.sequences import Sequences
from llmrec_assets.layout import Layout

INFO, SCORER, ARRAYS, SNAPSHOT = (
    "package.json", "scorer.json", "scorer.safetensors", "snapshot.safetensors",
)  # fmt: skip
ITEMS, USERS, LISTS = "items.parquet", "users.parquet", "lists.parquet"
_NAME = re.compile(r"[A-Za-z0-9_-]+")  # never a path
VECTORS = "item_vectors"
KEPT = 2  # packages: the current one, and the one before for those who still read it
_SEQUENCES = (
    "offsets", "items", "behaviors", "text_rows", "numeric", "times", "positive", "weights",
    "history_rows",
)  # fmt: skip


class BrokenPackage(ValueError):
    """A published package that is not as it was written; the message says which file."""


class Champion(BaseModel):
    """A version with its scores on held-out events; None: never judged.

    Among all items, but for those of the history where lists hide these.
    """

    version: str
    ndcg_at_10: float | None = None
    recall_at_10: float | None = None


class Challenger(Champion):
    """The version that was judged last, and what became of it."""

    outcome: str
    reason: str


class PublishedInfo(BaseModel):
    """What must be known to use a package. Ids are external; a code is a place in a list."""

    package_id: str = ""
    model_version: str
    source: Literal["model", "fallback"]
    data_fingerprint: str
    encoder: str
    generated_at: datetime
    settings: dict[str, float | int | bool]  # `ListSettings`
    behaviors: list[str]  # in the order of codes, from code 1
    dictionary: dict[str, Behavior]  # what every known behaviour means
    segments: list[str]  # landing files of an online service that the package holds already
    relative: bool  # times are steps of each user's own
    forgotten: int = 0  # how often so far somebody, something old or a batch was taken away
    pseudonyms: str = ""  # check value of their key; empty where users have their own ids
    champion: Champion | None = None  # who serves
    challenger: Challenger | None = None
    links: dict[str, str] = {}  # dagster, mlflow → path there
    files: dict[str, str] = {}  # name → sha256


@dataclass(frozen=True)
class Published:
    """A package in memory."""

    info: PublishedInfo
    snapshot: Snapshot
    user_ids: list[str]  # in the order of codes, from 0
    items: pd.DataFrame  # row c - 1 is item code c: item_id, title, category, brand, price
    list_ids: list[str]  # of each user
    users: Mapping[str, int]  # id → code
    item_codes: Mapping[str, int]  # id → code, from 1
    behavior_codes: Mapping[str, int]  # name → code, from 1
    lists: pd.DataFrame  # the published lists, in the order of users and ranks


def publish(
    layout: Layout,
    snapshot: Snapshot,
    info: PublishedInfo,
    items: pd.DataFrame,
    users: Sequence[str],
    list_ids: Sequence[str],
    lists: Path,
) -> str:
    """Write a package, then make it the current one; its id, a hash of all that it holds.

    Args:
        layout: of the data root.
        snapshot: all that the lists were made of.
        info: what is known of it; its id and files are filled in here.
        items: columns item_id, title, category, brand, price, in the order of codes.
        users: ids in the order of codes.
        list_ids: of each user.
        lists: Parquet file of the published lists.
    """
    layout.packages.mkdir(parents=True, exist_ok=True)
    partial = layout.packages / ".partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    state = state_of(snapshot.scorer)
    arrays, vectors = _arrays(snapshot), torch.from_numpy(snapshot.item_vectors)
    shared = {tensor.data_ptr(): name for name, tensor in state.arrays.items()}
    place = shared.get(vectors.data_ptr()) if vectors.numel() else None
    if place is None:
        arrays[VECTORS] = vectors
    facts = {"scorer": state.facts, VECTORS: place}
    (partial / SCORER).write_text(json.dumps(facts), encoding="utf-8")
    save_file(state.arrays, partial / ARRAYS)
    save_file(arrays, partial / SNAPSHOT)
    items.to_parquet(partial / ITEMS, index=False)
    named = pd.DataFrame({"user_id": list(users), "list_id": list(list_ids)}, dtype="str")
    named.to_parquet(partial / USERS, index=False)
    shutil.copyfile(lists, partial / LISTS)
    files = {path.name: _sha256(path) for path in sorted(partial.iterdir())}
    whole = _named(info.model_copy(update={"files": files}))
    package = whole.package_id
    (partial / INFO).write_text(whole.model_dump_json(indent=1), encoding="utf-8")
    for path in partial.iterdir():
        _sync(path)
    if (target := layout.packages / package).exists():
        shutil.rmtree(target)  # the same package, perhaps damaged since
    partial.rename(target)
    _make_current(layout, package)
    return package


def _make_current(layout: Layout, package: str) -> None:
    hidden = layout.current_package.with_name(f".{layout.current_package.name}")
    hidden.write_text(json.dumps({"package": package}), encoding="utf-8")
    _sync(hidden)
    hidden.replace(layout.current_package)
    others = [p for p in layout.packages.iterdir() if p.name not in (package, ".partial")]
    others.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in others[KEPT - 1 :]:
        shutil.rmtree(path)


def read_current(layout: Layout) -> str | None:
    """The id of the current package; None before the first.

    Raises:
        ValueError: the file is not of this form, or names no folder of packages.
    """
    try:
        name = str(json.loads(layout.current_package.read_text(encoding="utf-8"))["package"])
    except FileNotFoundError:
        return None
    if not _NAME.fullmatch(name):
        raise BrokenPackage(
            f"{layout.current_package} names no package: materialise recommendations"
        )
    return name


def load(folder: Path) -> Published:
    """Read a package whose files are as they were written.

    Raises:
        FileNotFoundError: a file is missing.
        BrokenPackage: a file has changed since.
    """
    info = verify(folder)
    facts = json.loads((folder / SCORER).read_text(encoding="utf-8"))
    state = ScorerState(load_file(folder / ARRAYS), facts["scorer"])
    arrays = load_file(folder / SNAPSHOT)
    if facts[VECTORS] is not None:
        arrays[VECTORS] = state.arrays[facts[VECTORS]]
    snapshot = _snapshot(arrays, info, scorer_of(state))
    items, users = pd.read_parquet(folder / ITEMS), pd.read_parquet(folder / USERS)
    ids = users["user_id"].tolist()
    return Published(
        info=info,
        snapshot=snapshot,
        user_ids=ids,
        items=items,
        list_ids=users["list_id"].tolist(),
        users={user: code for code, user in enumerate(ids)},
        item_codes={item: code for code, item in enumerate(items["item_id"].tolist(), start=1)},
        behavior_codes={name: code for code, name in enumerate(info.behaviors, start=1)},
        lists=pd.read_parquet(folder / LISTS),
    )


def read_info(folder: Path) -> PublishedInfo:
    """What a package says of itself, unverified.

    Raises:
        FileNotFoundError: it is missing.
        BrokenPackage: it is not of this form.
    """
    try:
        return PublishedInfo.model_validate_json((folder / INFO).read_text(encoding="utf-8"))
    except ValueError as error:  # no JSON, no text, or other fields
        raise BrokenPackage(
            f"{folder / INFO} cannot be read ({str(error).splitlines()[-1].strip()}):"
            " materialise recommendations"
        ) from error


def verify(folder: Path) -> PublishedInfo:
    """What a package says of itself, if its files are as they were written.

    Raises:
        FileNotFoundError: a file is missing.
        BrokenPackage: a file has changed since.
    """
    info = read_info(folder)
    if folder.name not in (_named(info).package_id, _old_name(info)):
        raise BrokenPackage(
            f"{folder / INFO} has changed since it was published: materialise recommendations"
        )
    for name, digest in info.files.items():
        if _sha256(folder / name) != digest:
            raise BrokenPackage(
                f"{folder / name} has changed since it was published: materialise recommendations"
            )
    return info


def _named(info: PublishedInfo) -> PublishedInfo:
    """With an id that is a hash of all else: it vouches for package.json, and that for the rest."""
    text = info.model_copy(update={"package_id": ""}).model_dump_json()
    return info.model_copy(update={"package_id": hashlib.sha256(text.encode()).hexdigest()[:16]})


def _old_name(info: PublishedInfo) -> str:
    """The id of a package that was published when it vouched for the other files alone."""
    return hashlib.sha256(json.dumps(info.files).encode()).hexdigest()[:16]


def _arrays(snapshot: Snapshot) -> dict[str, torch.Tensor]:
    arrays = {f"sequences.{name}": getattr(snapshot.sequences, name) for name in _SEQUENCES}
    groups = ("hidden", "facts", "step_texts", "scales")
    for group in groups:
        for name, value in vars(getattr(snapshot, group)).items():
            arrays[f"{group}.{name}"] = value
    return {name: torch.from_numpy(np.array(value)) for name, value in arrays.items()}


def _snapshot(arrays: dict[str, torch.Tensor], info: PublishedInfo, scorer: Any) -> Snapshot:  # noqa: ANN401
    def group(name: str) -> dict[str, Any]:
        prefix = f"{name}."
        return {
            key.removeprefix(prefix): value.numpy()
            for key, value in arrays.items()
            if key.startswith(prefix)
        }

    facts = ItemFacts(**group("facts"))
    return Snapshot(
        scorer=scorer,
        sequences=Sequences(**group("sequences"), relative=info.relative),
        n_items=len(facts.events) - 1,
        hidden=Hidden(**group("hidden")),
        settings=ListSettings(**info.settings),  # pyright: ignore[reportArgumentType]
        facts=facts,
        step_texts=StepTexts(**group("step_texts")),
        scales=Scales(**group("scales")),
        item_vectors=arrays[VECTORS].numpy(),
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
