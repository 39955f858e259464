"""What a failure means for who runs the store: which files it is about, and what to do."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from llmrec_assets.core.remedies import OF_ERRORS, remedy_of
from llmrec_assets.layout import Layout
from llmrec_assets.resources.sqlite_files import broken

_DATABASE_ERRORS = {"DatabaseError", "OperationalError"}
_SHOWN = 3


def chain(error: BaseException | None) -> list[BaseException]:
    """An error and its causes, the outermost first."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def own_words(kinds: list[str], texts: list[str]) -> str:
    """The message of the product's own error among an error and its causes, else the innermost."""
    own = (text for kind, text in zip(kinds, texts, strict=True) if kind in OF_ERRORS)
    return next(own, texts[-1])


def explain(layout: Layout, kinds: list[str], texts: Iterable[str]) -> str:
    """The files that an error is about, as far as its words do not name them, and the remedy.

    `kinds` are the classes of an error and its causes, `texts` their messages. Empty where nothing
    is known, or where a message has its remedy already.
    """
    texts = list(texts)
    remedy = remedy_of(kinds, texts)
    if remedy is None or any("→" in text for text in texts):
        return ""
    about = [about for about in (_databases(layout, kinds), _closed(layout, texts)) if about]
    if "has room" in remedy or "make room" in remedy:
        about.append(f"{shutil.disk_usage(layout.root).free >> 10} KB are free in {layout.root}")
    return "".join(f"\n  {line}" for line in about) + f"\n  → {remedy}"


def databases(layout: Layout) -> list[Path]:
    """The SQLite files of a store."""
    found = [layout.mlflow_database, *sorted(layout.dagster_home.rglob("*.db"))]
    return [path for path in found if _exists(path)]


def _databases(layout: Layout, kinds: list[str]) -> str:
    if not _DATABASE_ERRORS & set(kinds):
        return ""
    found = list(broken(databases(layout)).items())[:_SHOWN]
    return "; ".join(f"{path} {trouble}" for path, trouble in found)


def _closed(layout: Layout, texts: list[str]) -> str:
    """Files and folders that this user may not write, where access is the trouble."""
    words = "\n".join(texts).lower()
    if "permission" not in words and "readonly" not in words and "unable to open" not in words:
        return ""
    closed = unwritable(layout)[:_SHOWN]
    return f"closed to this user: {', '.join(map(str, closed))}" if closed else ""


def unwritable(layout: Layout) -> list[Path]:
    """Folders, and files that are written in place, that this user may not read and write."""
    landing = (layout.landing_events, layout.landing_items, layout.landing_feedback)
    places = [layout.root, layout.landing, *landing, layout.serving, layout.packages,
              layout.arrays, *_folders(layout.arrays), layout.mlflow_artifacts,
              layout.dagster_home, *_folders(layout.dagster_home), layout.warehouse,
              *databases(layout)]  # fmt: skip
    return [path for path in dict.fromkeys(places) if _exists(path) and not _open(path)]


def _folders(root: Path) -> list[Path]:
    found = sorted(root.rglob("*")) if _open(root) else []
    return [path for path in found if _exists(path) and path.is_dir()]


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except PermissionError:
        return False  # what lies above it is named


def _open(path: Path) -> bool:
    wanted = os.R_OK | os.W_OK | (os.X_OK if path.is_dir() else 0)
    return os.access(path, wanted)
