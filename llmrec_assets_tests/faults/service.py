"""The real thing under test: daemon with queue and sensors, and webserver, of one root."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import dagster as dg
import psutil

from llmrec_assets.automation.history import IN_FLIGHT
from llmrec_assets.instance import prepare
from llmrec_assets.layout import Layout

SETTINGS = {
    "LLMREC_SENSOR_SECONDS": "1",
    "LLMREC_RETRY_SECONDS": "1",
    "LLMREC_MIN_NEW_EVENTS": "1",
    "LLMREC_COOLDOWN_LISTS": "0",
    "LLMREC_COOLDOWN_WARM_START": "0",
    "LLMREC_COOLDOWN_RETRAIN": "0",
    "LLMREC_COOLDOWN_ENCODER": "0",
    "LLMREC_ENCODER": "bag_of_words",
    "LLMREC_MAX_EPOCHS": "1",
    "LLMREC_TOP_K": "3",
    "OMP_NUM_THREADS": "1",  # threads that spin cost more than they bring
}
PARTS = {
    "daemon": ("dagster._daemon", "run"),
    "webserver": ("dagster_webserver", "-h", "127.0.0.1", "-p", "{port}"),
}
LOOK = 0.02  # seconds between two looks: a step of a tiny store takes a tenth of one
Found = TypeVar("Found")


class NotRecovered(AssertionError):
    """What was waited for did not come, or what must hold does not."""


class Service:
    """Starts the parts of a root, kills them, and looks at what they do."""

    def __init__(self, layout: Layout, clock: Path | None = None) -> None:
        """`clock`: a file that holds what the parts' clocks are off by, such as -3600."""
        prepare(layout)
        self.layout, self.clock = layout, clock
        self.log = layout.root.with_suffix(".log")
        self.parts: dict[str, psutil.Popen] = {}
        self.instance = dg.DagsterInstance.from_config(str(layout.dagster_home))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    def __enter__(self) -> "Service":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill_everything()
        self.instance.dispose()

    def start(self) -> None:
        """Start the parts that do not run, as a supervisor would."""
        environment = os.environ | SETTINGS | {"LLMREC_DATA_DIR": str(self.layout.root)}
        if self.clock:
            environment |= faked_clock(self.clock)
        for name, (module, *arguments) in PARTS.items():
            if name in self.parts and self.parts[name].is_running():
                continue
            words = [word.format(port=self.port) for word in arguments]
            command = [sys.executable, "-m", module, *words, "-m", "llmrec_assets.definitions"]
            with self.log.open("a") as output:
                self.parts[name] = psutil.Popen(
                    command,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    env=environment,
                    cwd=self.layout.root,
                )

    def kill_daemon(self) -> None:
        """SIGKILL the daemon alone: its code server and the run go on as orphans for a while."""
        self.parts["daemon"].send_signal(signal.SIGKILL)
        self.parts.pop("daemon").wait(10)

    def kill_everything(self) -> None:
        """SIGKILL all parts, their code servers and runs, as a power cut does."""
        started = list(self.parts.values())
        family = [*started, *(child for part in started for child in part.children(recursive=True))]
        for process in family:
            if process.is_running():
                process.send_signal(signal.SIGKILL)
        psutil.wait_procs(family, 10)
        self.parts.clear()

    def kill_run(self, run_id: str) -> None:
        """SIGKILL the process of a run."""
        for event in self.instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
            data = event.get_dagster_event().engine_event_data
            pid = data.metadata.get("pid") if data else None
            if pid is not None and "Executing steps" in event.user_message:
                os.kill(int(str(pid.value)), signal.SIGKILL)
                return
        raise NotRecovered(f"the process of run {run_id} is not known")

    def working(self) -> list[dg.DagsterRun]:
        """Runs that wait or work."""
        return list(self.instance.get_runs(dg.RunsFilter(statuses=IN_FLIGHT)))

    def run_at(self, asset: str, not_before: float) -> str | None:
        """The id of a working run that started `asset` after `not_before`.

        It may have gone on since: on a tiny store a step can be over before anybody looks.
        """
        for run in self.working():
            started = self.instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_START)
            if any(e.step_key == asset and e.timestamp >= not_before for e in started):
                return run.run_id
        return None

    def wait(self, what: str, condition: Callable[[], Found], seconds: float) -> Found:
        """The first true value of `condition`.

        Raises:
            NotRecovered: there was none in so many seconds.
        """
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            if time.monotonic() > deadline:
                runs = [
                    f"{run.job_name} {run.status.value}" for run in self.instance.get_runs(limit=8)
                ]
                raise NotRecovered(f"waited {seconds:.0f} s in vain for {what}; newest runs {runs}")
            time.sleep(LOOK)
        return value


def faked_clock(file: Path) -> dict[str, str]:
    """The environment under which a process takes the offset of its clock from `file`."""
    import libfaketime

    library = Path(libfaketime.__file__).parent / "vendor/libfaketime/src/libfaketime.so.1"
    if not library.is_file():
        raise FileNotFoundError(f"{library}: libfaketime has no library for this system")
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
