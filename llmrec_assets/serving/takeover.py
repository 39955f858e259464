"""A new package is loaded beside the old one, checked by its ranker, and takes over at once."""

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
from llmrec_assets.published import BrokenPackage, Published
from llmrec_assets.serving import logs
from llmrec_assets.serving.engine import Engine
from llmrec_assets.serving.model import Model
from llmrec_assets.serving.rankers import Ranker, Refused

_NICENESS = 10  # of the thread that loads: requests come first


class Watcher:
    """Looks for a new package and has it take over. What was refused waits for the next."""

    def __init__(
        self,
        layout: Layout,
        canary_users: int,
        engine: Engine,
        take_over: Callable[[Model, Any], None],
        prepare: Callable[[Model], Any],
        count: Callable[[str], None],
        pseudonyms: str = "",
    ) -> None:
        """`prepare` runs beside requests, and what it gives goes to `take_over`, which does not.

        `pseudonyms`: check value of the key that users are known by; empty without one.
        """
        self.pseudonyms = pseudonyms
        self.layout, self.canary_users, self.count = layout, canary_users, count
        self.engine = engine
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
            model, prepared, ranker = await self._ready(found)
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
        self.engine.use(ranker)
        self.current = found
        logs.say("package took over", package=found, model_version=model.info.model_version,
                 seconds=round(time.monotonic() - started, 2))  # fmt: skip

    def _refuse(self, mark: tuple[str, int], reason: str) -> None:
        package, self.refused = mark[0], mark
        self.reason = f"package {package} was refused: {reason}"
        self.count("refused")
        logs.warn("package refused", package=package, reason=reason)

    async def _ready(self, package: str) -> tuple[Model, Any, Ranker]:
        """The package, what was prepared for it, and who ranks it.

        Raises:
            Refused: lists that are made by it differ from the published ones, or it knows users
                by other pseudonyms.
        """
        folder = self.layout.packages / package
        if published.read_info(folder).pseudonyms != self.pseudonyms:
            raise Refused("it was made with another LLMREC_PSEUDONYM_KEY than this service has")
        ranker = await self.engine.start(folder, self.canary_users)
        try:
            whole = await _in_background(lambda: published.load(folder))
            await ranker.ready()
            model, prepared = await _in_background(lambda: self._prepared(whole, ranker.quick))
        except BaseException:
            ranker.kill()
            raise
        return model, prepared, ranker

    def _prepared(self, whole: Published, quick: bool) -> tuple[Model, Any]:
        snapshot = quickened(whole.snapshot) if quick else whole.snapshot
        model = Model(replace(whole, snapshot=snapshot))
        _ = model.cold, model.titles  # made here, not at the first request
        return model, self.prepare(model)


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
