"""Ray as the place where tasks run: the only module that knows it.

A cluster of this machine is started when the first task needs it and ends with the process. It
shows no dashboard, reports nothing to anybody, takes nobody's tasks without the process's own
token, and leaves no file behind; what a killed process left goes with the next one.
"""

import atexit
import os
import secrets
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from llmrec_assets.resources.owned_folders import RAY_PREFIX, owned_folder

X = TypeVar("X")
Y = TypeVar("Y")

RETRIES = 3  # of a task whose worker dies; an exception of the task itself is not tried again


class WorkersLost(Exception):
    """Workers died again and again, or the cluster cannot be reached."""


@cache
def connect(address: str) -> Any:  # noqa: ANN401 - the module, which is not always installed
    """The module `ray`, connected to the cluster at `address`, or to one of this process's own.

    Raises:
        WorkersLost: there is no cluster at the address.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    if address:
        import ray

        try:
            return ray.init(address=address, **quiet) and ray
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise WorkersLost(
                f"no Ray cluster answers at LLMREC_RAY_ADDRESS={address!r} ({error}); without that"
                " variable a cluster of this machine is started"
            ) from error
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    import ray

    stack = ExitStack()
    folder = stack.enter_context(owned_folder(Path(tempfile.gettempdir()), RAY_PREFIX))
    atexit.register(stack.close)
    atexit.register(ray.shutdown)  # before its folder goes
    ray.init(address="local", include_dashboard=False, _temp_dir=str(folder), **quiet)
    return ray


def workers(ray: Any, most: int) -> int:  # noqa: ANN401
    """How many single-threaded workers there is room for, at most `most`."""
    return max(1, min(most, int(ray.cluster_resources().get("CPU", 1))))


def run_tasks(address: str, function: Callable[[X], Y], jobs: Sequence[X]) -> list[Y]:
    """What `function` makes of each job, in order; one whose worker dies is run again.

    Raises:
        WorkersLost: a job's workers died `RETRIES` + 1 times.
    """
    ray = connect(address)
    task = ray.remote(num_cpus=1, max_retries=RETRIES)(_call)
    with _plain_errors(ray):
        sent = ray.put(function)
        return ray.get([task.remote(sent, job) for job in jobs])


def _call(function: Callable[[X], Y], job: X) -> Y:
    return function(job)


def map_made(
    address: str, most: int, make: Callable[[], Callable[[X], Y]], items: Sequence[X]
) -> Iterator[Y]:
    """What the function that `make` returns makes of each item, in order.

    Each of up to `most` workers calls `make` once, and again after it died: a model is loaded once
    a worker. `make` with all it holds is sent once to each machine.

    Raises:
        WorkersLost: a worker died `RETRIES` + 1 times.
    """
    if not items:
        return
    ray = connect(address)
    kind = ray.remote(num_cpus=1, max_restarts=RETRIES, max_task_retries=RETRIES)(_Worker)
    with _plain_errors(ray):
        sent = ray.put(make)
        crew = [kind.remote([sent]) for _ in range(workers(ray, min(most, len(items))))]
        waiting = deque()
        try:
            for number, item in enumerate(items):
                waiting.append(crew[number % len(crew)].do.remote(item))
                if len(waiting) == 2 * len(crew):  # more would only lie in memory
                    yield ray.get(waiting.popleft())
            while waiting:
                yield ray.get(waiting.popleft())
        finally:
            for worker in crew:
                ray.kill(worker)


class _Worker:
    """One process with what `make` makes for its first item."""

    def __init__(self, sent: list[Any]) -> None:
        self.sent, self.work = sent, None

    def do(self, item: Any) -> Any:  # noqa: ANN401
        """What was made at work."""
        if self.work is None:
            import ray

            make: Any = ray.get(self.sent[0])
            self.work = make()
        return self.work(item)


@contextmanager
def _plain_errors(ray: Any) -> Iterator[None]:  # noqa: ANN401
    """Raise what a task raised as if it had run here.

    Raises:
        WorkersLost: Ray itself gave up.
    """
    try:
        yield
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError as error:
        raise WorkersLost(
            f"a task's worker died {RETRIES + 1} times ({type(error).__name__}). If the memory was"
            " too small, more shards make smaller tasks: set LLMREC_SHARDS"
        ) from None
