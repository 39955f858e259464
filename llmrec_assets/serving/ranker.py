"""The process that ranks: it loads one package, checks it, and makes lists until it is let go.

It shares no interpreter with those who answer requests, so neither waits for the other's lock. Each
package has a process of its own: a list is never of two, and what one leaves is freed whole.

    python -m llmrec_assets.serving.ranker FD PACKAGE CANARY_USERS BUDGET_SECONDS GENTLY
"""

import gc
import os
import signal
import socket
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import torch

from llmrec_assets import published
from llmrec_assets.core.quick_texts import quickened
from llmrec_assets.serving import logs
from llmrec_assets.serving.canary import differing_users
from llmrec_assets.serving.messages import Frames, Ranked, Ready, Refusal
from llmrec_assets.serving.model import Model, Slots
from llmrec_assets.serving.ranking import rank

MOST_AT_ONCE = 32
_NICENESS = 10  # of the thread that loads beside a package that serves: requests come first


def main(descriptor: int, package: Path, canary_users: int, budget: float, gently: bool) -> None:
    """Load, check, say so, and rank until the service closes the connection."""
    for number in (signal.SIGTERM, signal.SIGINT):  # they reach the service, which lets go
        signal.signal(number, signal.SIG_IGN)
    torch.set_num_threads(1)
    logs.configure()
    frames = Frames(socket.socket(fileno=descriptor))
    loaded = _loaded(package, canary_users, gently)
    if isinstance(loaded, Refusal):
        frames.send(loaded)
        return
    model, quick = loaded
    gc.collect()
    gc.freeze()  # what was loaded stays: it need not be searched for what can be freed
    frames.send(Ready(quick))
    serve(model, frames, budget)


def serve(model: Model, frames: Frames, budget: float) -> None:
    """Rank what comes, all that waits at once, until there is nobody to rank for."""
    cost = 0.0
    while asked := frames.take(min(MOST_AT_ONCE, max(1, int(budget / 2 / max(cost, 1e-6))))):
        started = time.monotonic()
        fresh = [one for one in asked if one.deadline > started]
        made: dict[int, Slots] = {}
        if fresh:
            try:
                lists = rank(model, [one.job for one in fresh])
                made = {one.number: slots for one, slots in zip(fresh, lists, strict=True)}
            except Exception as error:  # these lists fall back, the cause is told
                logs.warn("a batch cannot be ranked", error=logs.place_of(error))
            spent = (time.monotonic() - started) / len(fresh)
            cost += (spent - cost) * (0.1 if cost else 1.0)
        told = [(one.number, made.get(one.number)) for one in asked]
        try:
            frames.send(Ranked(told, len(fresh), cost))
        except OSError:  # the service has ended
            return


def _loaded(package: Path, canary_users: int, gently: bool) -> tuple[Model, bool] | Refusal:
    """The checked package; loaded by a thread, as only threads can stop being nice."""
    outcome: list[tuple[Model, bool] | Refusal] = []

    def run() -> None:
        if gently and sys.platform == "linux":  # where threads have a niceness of their own
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        try:
            outcome.append(checked(package, canary_users))
        except FileNotFoundError:
            outcome.append(Refusal("a file is missing"))
        except Exception as error:  # whatever a package holds, the old one goes on
            outcome.append(Refusal(logs.place_of(error)))

    loader = threading.Thread(target=run, name="loader")
    loader.start()
    loader.join()
    return outcome[0]


def checked(package: Path, canary_users: int) -> tuple[Model, bool] | Refusal:
    """The package, and whether its lists are the published ones by the quicker scorer too.

    Raises:
        Exception: whatever `published.load` raises, or what the package leads to.
    """
    whole = published.load(package)
    quick = quickened(whole.snapshot)
    for snapshot in (quick, whole.snapshot) if quick is not whole.snapshot else (quick,):
        is_quick = snapshot is not whole.snapshot
        try:
            model = Model(replace(whole, snapshot=snapshot))
            differing = differing_users(model, canary_users)
        except RuntimeError as error:  # of PyTorch's, which promises nothing of that product
            if not is_quick:
                raise
            logs.warn("the quick scorer fails", package=package.name, error=logs.place_of(error))
            continue
        if not differing:
            return model, is_quick
        logs.warn("lists differ from the published ones", package=package.name, users=differing,
                  quick=is_quick)  # fmt: skip
    return Refusal("lists differ from the published ones")


if __name__ == "__main__":
    _, fd, folder, users, seconds, nice = sys.argv
    main(int(fd), Path(folder), int(users), float(seconds), nice == "gently")
