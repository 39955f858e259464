"""Whether a store is fit for work; every finding says how to mend it."""

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version

import duckdb
from packaging.requirements import Requirement

from llmrec_assets import published
from llmrec_assets.layout import Layout
from llmrec_assets.resources.landing import Landing

_LEAST_FREE = 2 << 30  # bytes
_SUFFIXES_OF_SECRETS = re.compile(r"key", re.IGNORECASE)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    well: bool
    says: str
    remedy: str = ""  # of what is not well


Check = Callable[[Layout], Iterator[Finding]]


def examine(layout: Layout) -> list[Finding]:
    """All findings about a store, the well ones too."""
    return [finding for check in CHECKS for finding in check(layout)]


def versions(_: Layout) -> Iterator[Finding]:
    """Whether the packages that run are those that the project asks for."""
    wrong = []
    for line in requires("llmrec-assets") or []:
        needed = Requirement(line)
        if needed.marker and not needed.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(needed.name)
        except PackageNotFoundError:
            wrong.append(f"{needed.name} is missing")
            continue
        if not needed.specifier.contains(found, prereleases=True):
            wrong.append(f"{needed.name} is {found}, not {needed.specifier}")
    python = ".".join(map(str, sys.version_info[:3]))
    yield Finding(
        "versions", not wrong, "; ".join(wrong) or f"Python {python}", "pip install -e . anew"
    )


def disk(layout: Layout) -> Iterator[Finding]:
    """Whether there is room to work in."""
    free = shutil.disk_usage(layout.root).free
    yield Finding(
        "disk",
        free >= _LEAST_FREE,
        f"{free / (1 << 30):.1f} GB free",
        f"make room for {_LEAST_FREE >> 30} GB: a run writes new tables before it drops old ones",
    )
    unwritable = [
        str(path.relative_to(layout.root))
        for path in (layout.root, layout.landing, layout.serving, layout.dagster_home)
        if path.exists() and not os.access(path, os.W_OK)
    ]
    yield Finding(
        "permissions",
        not unwritable,
        f"cannot write to {', '.join(unwritable)}" if unwritable else "every folder is writable",
        "chown or chmod them to the user that runs llmrec",
    )


def warehouse(layout: Layout) -> Iterator[Finding]:
    """Whether the DuckDB file can be opened and read to its end."""
    if not layout.warehouse.is_file():
        yield Finding("warehouse", True, "not there yet: llmrec run makes it")
        return
    try:
        with duckdb.connect(str(layout.warehouse), read_only=True) as connection:
            tables = connection.execute(
                "select schema_name, table_name from duckdb_tables() where not internal"
            ).fetchall()
            for schema, table in tables:
                connection.execute(f'select count(columns(*)) from "{schema}"."{table}"')
    except duckdb.IOException as error:
        if "set lock" in str(error):
            holder = re.search(r"PID (\d+)", str(error))
            who = f"process {holder[1]}" if holder else "another process"
            yield Finding("warehouse", False, f"held by {who}", "wait for it, or end it")
            return
        yield _broken_warehouse(error)
    except duckdb.Error as error:
        yield _broken_warehouse(error)
    else:
        yield Finding("warehouse", True, f"{len(tables)} tables can be read")


def _broken_warehouse(error: duckdb.Error) -> Finding:
    return Finding(
        "warehouse",
        False,
        str(error).splitlines()[0],
        "llmrec restore a backup; or move the file away and llmrec run: landing/ has all events",
    )


def package(layout: Layout) -> Iterator[Finding]:
    """Whether what is published is whole."""
    remedy = "materialise recommendations: llmrec run, or the job refresh_lists"
    try:
        current = published.read_current(layout)
        if current is not None:
            published.verify(layout.packages / current)
    except (OSError, ValueError, KeyError, TypeError) as error:
        says = str(error).splitlines()[0] or type(error).__name__
        yield Finding("published package", False, says, remedy)
        return
    if current is None:
        yield Finding("published package", True, "not there yet: llmrec run makes it")
    else:
        yield Finding("published package", True, f"{current}: every checksum is right")


def leftovers(layout: Layout) -> Iterator[Finding]:
    """Files of the landing zone that wait, and such that a killed writer left half."""
    landing = Landing(root=str(layout.root), settle_seconds=0)
    for kind in ("events", "items", "feedback", "lists"):
        waiting = landing.scan(kind).unfinished
        yield Finding(
            f"landing/{kind}",
            not waiting,
            f"not read: {', '.join(waiting)}" if waiting else "no file is half written",
            "close the program that writes them, or give the user that runs llmrec access",
        )


def secrets(layout: Layout) -> Iterator[Finding]:
    """Whether files of keys are for their owner alone."""
    found = [
        p for p in layout.root.glob("*") if p.is_file() and _SUFFIXES_OF_SECRETS.search(p.name)
    ]
    open_ones = [path.name for path in found if path.stat().st_mode & 0o077]
    yield Finding(
        "keys",
        not open_ones,
        f"others may read {', '.join(open_ones)}" if open_ones else "no file of keys is open",
        "chmod 600 them",
    )


CHECKS: tuple[Check, ...] = (versions, disk, warehouse, package, leftovers, secrets)
