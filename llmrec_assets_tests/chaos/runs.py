"""Commands in processes of their own, forked off a server that has run nothing but imports."""

import multiprocessing
import os
import signal
import time
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from llmrec_assets.layout import Layout
from llmrec_assets_tests.chaos import child
from llmrec_assets_tests.chaos.points import Point

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
        process = self.context.Process(target=child.command, args=arguments)
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
