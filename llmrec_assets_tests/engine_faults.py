"""An engine one of whose processes dies, as by the kernel, and leaves a mark that it did."""

import os
import signal
from functools import partial
from pathlib import Path

from llmrec_assets.resources.engine import Engine


def die_once(marker: Path) -> None:
    """Kill this process, unless one was killed before."""
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def after(marker: Path, function, item):
    """The first process that has the work done dies before it can say so."""
    made = function(item)
    die_once(marker)
    return made


def made_after(marker: Path, make):
    """The same for a worker with something made."""
    return partial(after, marker, make())


def told_and_died(marker: Path, function, tell):
    """Tells of the first epoch, then dies; the other processes wait for it."""

    def tell_and_die(epoch):
        tell(epoch)
        die_once(marker)

    return function(tell_and_die)


class KillsOne(Engine):
    """Kills one worker, whatever the work."""

    marker: str

    def run_tasks(self, function, jobs):
        return super().run_tasks(partial(after, Path(self.marker), function), jobs)

    def map_made(self, make, items):
        return super().map_made(partial(made_after, Path(self.marker), make), items)

    def run_together(self, function, hear):
        return super().run_together(partial(told_and_died, Path(self.marker), function), hear)
