"""What the process of a command does: its settings, its watch, and `llmrec` or a job of it."""

import json
import os
import signal
import tempfile
from pathlib import Path
from typing import Any

from llmrec_assets.layout import Layout
from llmrec_assets_tests.chaos.points import Point, Watch


def counts_of(layout: Layout) -> dict[str, int]:
    """How often the last whole command on a root came to each kind of point."""
    return json.loads(_counts(str(layout.root)).read_text(encoding="utf-8"))


def temporary(layout: Layout) -> Path:
    """The folder of temporary files of the commands on a root."""
    return layout.root.with_name(f"{layout.root.name}.tmp")


def _counts(root: str) -> Path:
    return Path(f"{root}.points.json")


def command(
    root: str,
    output: str,
    words: tuple[str, ...],
    die_at: Point | None,
    plain: bool,
    most_bytes: int | None,
) -> None:
    """In a process group of its own and with its output in a file."""
    os.setsid()
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.environ["LLMREC_DATA_DIR"] = root
    tempfile.tempdir = os.environ["TMPDIR"] = str(temporary(Layout(Path(root))))
    Path(tempfile.tempdir).mkdir(exist_ok=True)
    if most_bytes is not None:
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    watch = Watch(root, die_at)
    watch.install()
    _draw_nothing()
    _keep_engines()
    if plain:
        from llmrec_assets_tests.chaos.machine import obey_permissions

        obey_permissions()
    if words[0] in ("job", "peace"):
        _job(words[1:], words[0] == "peace")
        watch.write(_counts(root))
        return
    from llmrec_assets.cli import main

    try:
        main(list(words))
    except SystemExit as end:
        if not end.code:
            watch.write(_counts(root))
        raise


def _draw_nothing() -> None:
    """Plots take a quarter of a run on a tiny store, and nothing is read from them."""
    from matplotlib.figure import Figure

    def savefig(_: Figure, target, **__) -> None:
        target.write(b"-") if hasattr(target, "write") else Path(target).write_bytes(b"-")

    Figure.savefig = savefig  # pyright: ignore


def _keep_engines() -> None:
    """Dagster's storage makes an engine of SQLAlchemy for each statement: a tenth of a run."""
    import sqlalchemy
    from dagster._core.storage.event_log.sqlite import sqlite_event_log
    from dagster._core.storage.runs.sqlite import sqlite_run_storage

    kept: dict[str, sqlalchemy.Engine] = {}

    def engine(url: str, **options: Any) -> sqlalchemy.Engine:
        if url not in kept:
            kept[url] = sqlalchemy.create_engine(url, **options)
        return kept[url]

    sqlite_event_log.create_engine = engine  # pyright: ignore
    sqlite_run_storage.create_engine = engine  # pyright: ignore


def _job(names: tuple[str, ...], forgotten: bool) -> None:
    """Runs of the daemon: they hold no lock of commands."""
    import dagster as dg

    from llmrec_assets.definitions import defs
    from llmrec_assets.instance import prepare

    prepare(Layout.from_environment())
    with dg.DagsterInstance.ephemeral() if forgotten else dg.DagsterInstance.get() as instance:
        for name in names:
            result = defs.resolve_job_def(name).execute_in_process(
                instance=instance, run_config={"loggers": {"progress": {}}}
            )
            if not result.success:
                raise SystemExit(1)
