"""What is published: whether it is whole, and of whom it was decided that serves."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from llmrec_assets import published
from llmrec_assets.layout import Layout
from llmrec_assets.operations.findings import Finding
from llmrec_assets.resources.registry import CHAMPION, MODEL, VERSION_TAG

_REMEDY = "materialise recommendations: llmrec run, or the job refresh_lists"
_DECISION = (
    "select kind, served from s5_model.champion_model order by decided_at desc, rowid desc limit 1"
)
_ALIAS = """
select t.value from registered_model_aliases a join model_version_tags t using (name, version)
where a.name = ? and a.alias = ? and t.key = ?
"""


def package(layout: Layout) -> Iterator[Finding]:
    """Whether what is published is whole: no file changed, lists and package of one run."""
    try:
        current = published.read_current(layout)
        if current is not None:
            published.verify(layout.packages / current)
    except (OSError, ValueError, KeyError, TypeError) as error:
        says = str(error).splitlines()[0] or type(error).__name__
        if "→" not in says and str(layout.current_package.name) not in says:
            says = f"{layout.current_package.name} or its package: {says}"
        yield Finding("published package", False, says, _REMEDY)
        return
    if current is None:
        yield Finding("published package", True, "not there yet: llmrec run makes it")
        return
    yield Finding("published package", True, f"{current}: every checksum is right")
    yield _lists(layout, current)


def _lists(layout: Layout, current: str) -> Finding:
    """The two files of lists are one; a run killed between them leaves two.

    Where the store knows users by pseudonyms, the package has those, and the other file has ids.
    """
    lists, own = layout.recommendations, layout.packages / current / published.LISTS
    if not own.is_file():
        return Finding("published lists", True, "the package has none of its own")
    try:
        left_out = ["user_id"] if published.read_info(own.parent).pseudonyms else []
        found, wanted = (pq.read_table(file).drop_columns(left_out) for file in (lists, own))
        same = found.equals(wanted)
        pq.read_table(layout.published_items)
    except (OSError, pa.ArrowException) as error:
        says = f"{lists.name} or items.parquet cannot be read ({str(error).splitlines()[0]})"
        return Finding("published lists", False, says, _REMEDY)
    says = f"{lists.name} {'is that' if same else 'is not that'} of the package"
    return Finding("published lists", same, says, _REMEDY)


def champion(layout: Layout) -> Iterator[Finding]:
    """Whether the registry, the newest decision and the package name one champion."""
    try:
        decided, alias = _decided(layout), _alias(layout)
        current = published.read_current(layout)
        info = published.verify(layout.packages / current) if current else None
    except (duckdb.Error, sqlite3.Error, OSError, ValueError, KeyError, TypeError):
        return  # not there yet, or told by the checks of the files
    if decided is None or info is None:
        return
    serves = info.model_version if info.source == "model" else ""
    well = decided == alias == serves
    yield Finding(
        "champion",
        well,
        f"{alias or 'a baseline'} serves"
        if well
        else f"decided: {decided or 'a baseline'},"
        f" registry: {alias or 'none'}, published: {info.model_version}",
        "llmrec run decides anew, or llmrec rollback VERSION names who serves",
    )


def _decided(layout: Layout) -> str | None:
    """The model of the newest decision; empty where a baseline serves, None before the first."""
    with duckdb.connect(str(layout.warehouse), read_only=True) as connection:
        rows = connection.execute(_DECISION).fetchall()
    if not rows:
        return None
    return rows[0][1] if rows[0][0] == "model" else ""


def _alias(layout: Layout) -> str:
    """Read past MLflow, which would migrate a store that is only looked at."""
    uri = f"file:{layout.mlflow_database}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        rows = connection.execute(_ALIAS, [MODEL, CHAMPION, VERSION_TAG]).fetchall()
    return rows[0][0] if rows else ""
