"""A new package is loaded beside the old one, checked, and takes over in one assignment."""

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from llmrec_assets import published
from llmrec_assets.core.quick_texts import quickened
from llmrec_assets.layout import Layout
from llmrec_assets.published import BrokenPackage
from llmrec_assets.serving import logs
from llmrec_assets.serving.canary import differing_users
from llmrec_assets.serving.model import Model

_NICENESS = 10  # of the thread that loads: requests come first
_PAUSE = 0.002


class Refused(Exception):
    """A package must not take over; the message says why."""


class Watcher:
    """Looks for a new package and has it take over. What was refused waits for the next."""

    def __init__(
        self,
        layout: Layout,
        canary_users: int,
        take_over: Callable[[Model, Any], None],
        prepare: Callable[[Model], Any],
        count: Callable[[str], None],
    ) -> None:
        """`prepare` runs beside requests, and what it gives goes to `take_over`, which does not."""
        self.layout, self.canary_users, self.count = layout, canary_users, count
        self.take_over, self.prepare = take_over, prepare
        self.current: str | None = None
        self.refused: tuple[str, int] | None = None  # the package, and when it was made current
        self.reason = "no package has been published: run llmrec run"

    async def watch(self, every: float) -> None:
        """Look for ever, every so many seconds."""
        while True:
            await self.look()
            await asyncio.sleep(every)

    async def look(self) -> None:
        """Take over the current package if it is new; say why not, if not."""
        try:
            found = published.read_current(self.layout)
            mark = (found, self.layout.current_package.stat().st_mtime_ns) if found else None
        except (OSError, ValueError, KeyError, TypeError) as error:
            self.reason = f"serving/current.json cannot be read: {type(error).__name__}"
            return
        if found is None or mark is None or found == self.current or mark == self.refused:
            return
        self.reason = f"package {found} is being loaded"
        started = time.monotonic()
        try:
            model, prepared = await _in_background(lambda: self._ready(found))
        except FileNotFoundError:
            if published.read_current(self.layout) == found:
                self._refuse(mark, "a file is missing")
            return  # else a newer one took its place meanwhile: the next look finds it
        except (Refused, BrokenPackage, ValidationError) as error:
            self._refuse(mark, str(error) if isinstance(error, Refused) else type(error).__name__)
            return
        except Exception as error:  # whatever a package holds, the old one goes on
            self._refuse(mark, logs.place_of(error))
            return
        self.take_over(model, prepared)
        self.current = found
        logs.say("package took over", package=found, model_version=model.info.model_version,
                 seconds=round(time.monotonic() - started, 2))  # fmt: skip

    def _refuse(self, mark: tuple[str, int], reason: str) -> None:
        package, self.refused = mark[0], mark
        self.reason = f"package {package} was refused: {reason}"
        self.count("refused")
        logs.warn("package refused", package=package, reason=reason)

    def _ready(self, package: str) -> tuple[Model, Any]:
        """The checked package, and what was prepared for it.

        Raises:
            Refused: lists made here differ from the published ones, also by the slower scorer.
        """
        whole = published.load(self.layout.packages / package)
        pause = (lambda: time.sleep(_PAUSE)) if self.current else (lambda: None)
        quick = quickened(whole.snapshot)
        for snapshot in (quick, whole.snapshot) if quick is not whole.snapshot else (quick,):
            is_quick = snapshot is not whole.snapshot
            try:
                model = Model(replace(whole, snapshot=snapshot))
                differing = differing_users(model, self.canary_users, pause=pause)
            except RuntimeError as error:  # of PyTorch's, which promises nothing of that product
                if not is_quick:
                    raise
                logs.warn("the quick scorer fails", package=package, error=logs.place_of(error))
                continue
            if not differing:
                return model, self.prepare(model)
            logs.warn("lists differ from the published ones", package=package, users=differing,
                      quick=is_quick)  # fmt: skip
        raise Refused("lists differ from the published ones")


async def _in_background(work: Callable[[], Any]) -> Any:  # noqa: ANN401
    """Run `work` in a thread of its own that yields to those who answer requests."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()

    def settle(result: Any, error: Exception | None) -> None:  # noqa: ANN401
        if not done.done():
            _ = done.set_result(result) if error is None else done.set_exception(error)

    def run() -> None:
        if sys.platform == "linux":  # where threads have a niceness of their own
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        try:
            outcome = (work(), None)
        except Exception as error:
            outcome = (None, error)
        try:
            loop.call_soon_threadsafe(settle, *outcome)
        except RuntimeError:  # the service stopped meanwhile
            return

    threading.Thread(target=run, name="loader", daemon=True).start()
    return await done
