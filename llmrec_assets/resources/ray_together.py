"""Processes of a Ray cluster that do one thing together, joined by torch.distributed.

Imports torch where it works: in the processes.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

from llmrec_assets.resources.ray_cluster import RETRIES, WorkersLost, connect, workers

X = TypeVar("X")
Y = TypeVar("Y")

LAST_WORDS_SECONDS = 60  # for the others, once one has failed


def run_together(
    address: str,
    most: int,
    folder: Path,
    function: Callable[[Callable[[X], None]], Y],
    hear: Callable[[X], None],
) -> Y:
    """What `function` returns in the first of up to `most` processes that it runs in.

    It gets what to call with something to tell, and `hear` hears what the first process tells. If
    one dies, all start again. They meet by a new file in the folder.

    Raises:
        WorkersLost: processes died again and again.
    """
    ray = connect(address)
    kind = ray.remote(num_cpus=1, max_concurrency=2)(_Member)
    size, sent = workers(ray, most), ray.put(function)
    for _ in range(RETRIES + 1):
        crew = [kind.remote(rank, size, not address) for rank in range(size)]
        try:
            return _outcome(ray, crew, sent, folder / uuid4().hex, hear)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except ray.exceptions.RayError:
            continue
        finally:
            for member in crew:
                ray.kill(member)
    raise WorkersLost(
        f"one of {size} processes that train together died, {RETRIES + 1} times. If the memory was"
        " too small, fewer of them on a machine have more each: set LLMREC_SHARDS"
    )


def _outcome(
    ray: Any,  # noqa: ANN401
    crew: list[Any],
    sent: Any,  # noqa: ANN401
    meeting: Path,
    hear: Callable[[Any], None],
) -> Any:  # noqa: ANN401
    """The first process's result, heard to the end.

    Raises:
        ray.exceptions.RayError: of a process that died, else of the first one that failed.
    """
    results = [member.run.remote(sent, str(meeting)) for member in crew]
    waiting = results
    while waiting:
        done, waiting = ray.wait(waiting, timeout=1)
        for message in ray.get(crew[0].told.remote()):
            hear(message)
        for result in done:
            try:
                ray.get(result)
            except ray.exceptions.RayTaskError:
                # Perhaps only because another one died and left it alone: that one is the reason.
                ray.wait(results, num_returns=len(results), timeout=LAST_WORDS_SECONDS)
                for other in ray.wait(results, num_returns=len(results), timeout=0)[0]:
                    _raise_if_dead(ray, other)
                raise
    return ray.get(results[0])


def _raise_if_dead(ray: Any, result: Any) -> None:  # noqa: ANN401
    try:
        ray.get(result)
    except ray.exceptions.RayTaskError:
        return


class _Member:
    """One of the processes. It tells what was said while it runs."""

    def __init__(self, rank: int, size: int, one_machine: bool) -> None:
        self.rank, self.size, self.messages = rank, size, []
        if one_machine:  # then nobody on the network need reach it
            os.environ["GLOO_SOCKET_IFNAME"] = "lo" if sys.platform == "linux" else "lo0"

    def run(self, function: Callable[[Callable[[Any], None]], Any], meeting: str) -> Any:  # noqa: ANN401
        """The result of the first process; nothing of the others."""
        from llmrec_assets.core.process_group import Share, joined

        with joined(Path(meeting), Share(self.rank, self.size)):
            result = function(self.messages.append)
        return result if self.rank == 0 else None

    def told(self) -> list[Any]:
        """What was said since it was asked last."""
        return [self.messages.pop(0) for _ in range(len(self.messages))]
