"""The machine that a store works on: packages, room, access, keys, and who is at work."""

import fcntl
import re
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from llmrec_assets.layout import Layout
from llmrec_assets.operations.findings import Finding
from llmrec_assets.operations.trouble import unwritable

_LEAST_FREE = 2 << 30  # bytes
_KEYS = re.compile(r"key", re.IGNORECASE)
_SECRETS = re.compile(
    r"secret|passw|credential|token|^\.env|\.pem$|\.pfx$|^id_(rsa|ed25519)", re.IGNORECASE
)


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


def permissions(layout: Layout) -> Iterator[Finding]:
    """Whether the user that runs llmrec may read and write all that a run does."""
    closed = [str(path.relative_to(layout.root)) for path in unwritable(layout)]
    yield Finding.unless(
        closed,
        "permissions",
        "cannot read and write",
        "everything is writable",
        "chown or chmod them to the user that runs llmrec",
    )


def keys(layout: Layout) -> Iterator[Finding]:
    """Whether files of keys are for their owner alone."""
    found = [path for path in _top(layout) if _KEYS.search(path.name)]
    open_ones = [path.name for path in found if path.stat().st_mode & 0o077]
    yield Finding.unless(
        open_ones,
        "keys",
        "others may read",
        "no file of keys is open",
        "chmod 600 them",
    )


def secrets(layout: Layout) -> Iterator[Finding]:
    """Whether the root holds secrets that llmrec does not know: backups would carry them."""
    found = [path.name for path in _top(layout) if _SECRETS.search(path.name)]
    yield Finding.unless(
        found,
        "secrets",
        "not of llmrec:",
        "no foreign secret in the root",
        "move them out of the data root: every backup would carry them",
    )


def locks(layout: Layout) -> Iterator[Finding]:
    """Who is at work on the root, and runs whose process was killed."""
    command = layout.dagster_home / "command.lock"
    busy = command.is_file() and _is_held(command)
    held = sorted((layout.dagster_home / "run_locks").glob("*"))
    dead = [path.name[:8] for path in held if not _is_held(path)]
    working = len(held) - len(dead)
    says = [
        *(["a command is at work"] if busy else []),
        *([f"{working} runs are at work"] if working else []),
        *([f"killed, and not yet known to have failed: {', '.join(dead)}"] if dead else []),
    ]
    yield Finding(
        "locks",
        busy or not dead,
        "; ".join(says) or "nobody is at work",
        "llmrec run, or llmrec ui, marks them as failed and does their work again",
    )


def _top(layout: Layout) -> list[Path]:
    return [path for path in sorted(layout.root.glob("*")) if path.is_file()]


def _is_held(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False  # it went meanwhile
    except OSError:
        return True
    return False
