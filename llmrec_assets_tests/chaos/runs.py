"""Commands in processes of their own, forked off a server that has run nothing but imports."""

import json
import multiprocessing
import os
import signal
import tempfile
import time
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from llmrec_assets.layout import Layout
from llmrec_assets_tests.chaos.points import Point, Watch

SETTINGS = {
    "LLMREC_ENCODER": "bag_of_words",
    "LLMREC_MAX_EPOCHS": "1",
    "LLMREC_TOP_K": "3",
    "LLMREC_WIDTH": "8",
    "LLMREC_GATE_USERS": "2",
    "LLMREC_GATE_TOLERANCE": "1",
    "LLMREC_GLOBAL_TIME_SPLIT": "false",
    "OMP_NUM_THREADS": "1",  # threads that spin cost more than they bring
}
# They take most of a command. Nothing that reads LLMREC_DATA_DIR while it is imported.
IMPORTS = [
    "dagster",
    "duckdb",
    "matplotlib.pyplot",
    "mlflow.artifacts",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "pandas",
    "pyarrow.parquet",
    "safetensors.torch",
    "sklearn.feature_extraction.text",
    "torch._dynamo",
    "llmrec_assets.automation.jobs",
    "llmrec_assets.automation.schedules",
    "llmrec_assets.automation.sensors",
    "llmrec_assets.assets.encoder_steps",
    "llmrec_assets.assets.list_steps",
    "llmrec_assets.assets.package_steps",
    "llmrec_assets.assets.training_steps",
    "llmrec_assets.assets.evaluation_steps",
    "llmrec_assets.cli",
]
LIMIT = 120  # seconds that a command may take


@dataclass(frozen=True)
class Outcome:
    """How a command ended: its exit code (negative: a signal), and all that it said."""

    code: int
    said: str

    @property
    def well(self) -> bool:
        """Whether it did what it was asked to."""
        return self.code == 0

    @property
    def durations(self) -> dict[str, float]:
        """Step → seconds."""
        found, step = {}, ""
        for line in self.said.splitlines():
            if line.endswith(" …"):
                step = line.split()[0]
            elif line.startswith("    done in "):
                found[step] = float(line.split()[2])
        return found


@dataclass
class Running:
    """A command on its way."""

    process: ForkServerProcess
    output: Path

    def said(self) -> str:
        """What it has said so far."""
        return self.output.read_text(encoding="utf-8", errors="replace")

    def wait_for(self, text: str, pause: float = 0.002) -> bool:
        """Wait until it has said `text`; False where it ended before."""
        while text not in self.said():
            if not self.process.is_alive():
                return text in self.said()
            time.sleep(pause)
        return True

    def kill(self) -> Outcome:
        """SIGKILL it and all that it started."""
        if self.process.is_alive() and self.process.pid:
            os.killpg(self.process.pid, signal.SIGKILL)
        return self.end()

    def end(self) -> Outcome:
        """Wait for its end.

        Raises:
            TimeoutError: it hangs; it is killed.
        """
        self.process.join(LIMIT)
        if self.process.exitcode is None:
            self.process.kill()
            raise TimeoutError(f"a command hangs:\n{self.said()}")
        return Outcome(self.process.exitcode, self.said())


class Commands:
    """Starts `llmrec` commands."""

    def __init__(self, folder: Path) -> None:
        """`folder`: for their outputs."""
        self.folder, self.started = folder, 0
        self.context = multiprocessing.get_context("forkserver")
        os.environ.update(SETTINGS)  # the server reads them when it starts
        self.context.set_forkserver_preload(IMPORTS)

    def start(
        self,
        layout: Layout,
        *words: str,
        die_at: Point | None = None,
        plain: bool = False,
        most_bytes: int | None = None,
    ) -> Running:
        """Start `llmrec WORDS`, or with `job NAME …` runs as the daemon launches them.

        `peace NAME …` does the same work quicker: it leaves no history of runs.

        Args:
            layout: of the store.
            words: of the command line.
            die_at: where it kills itself.
            plain: root of it is refused as its owner would be.
            most_bytes: of one file that it writes, where a disk cannot be filled.
        """
        self.started += 1
        output = self.folder / f"{layout.root.name}-{self.started % 8}.txt"
        output.write_text("", encoding="utf-8")
        arguments = (str(layout.root), str(output), words, die_at, plain, most_bytes)
        process = self.context.Process(target=_command, args=arguments)
        process.start()
        return Running(process, output)

    def cpu_seconds(self) -> float:
        """Of all commands that have ended, and of this process; the server's imports apart."""
        ended = sum(os.times()[:4])
        if server := vars(forkserver._forkserver)["_forkserver_pid"]:
            told = Path(f"/proc/{server}/stat").read_text(encoding="utf-8")
            children = told.rpartition(")")[2].split()[13:15]  # user and system, in ticks
            ended += sum(map(int, children)) / os.sysconf("SC_CLK_TCK")
        return ended

    def run(self, layout: Layout, *words: str) -> Outcome:
        """An undisturbed command."""
        return self.start(layout, *words).end()


def counts_of(layout: Layout) -> dict[str, int]:
    """How often the last whole command on a root came to each kind of point."""
    return json.loads(_counts(str(layout.root)).read_text(encoding="utf-8"))


def temporary(layout: Layout) -> Path:
    """The folder of temporary files of the commands on a root."""
    return layout.root.with_name(f"{layout.root.name}.tmp")


def _counts(root: str) -> Path:
    return Path(f"{root}.points.json")


def _command(
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
        from llmrec_assets_tests.chaos.faults import obey_permissions

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
