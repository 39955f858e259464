"""The process that ranks is replaced where it ends, and nobody's request fails meanwhile."""

import asyncio
import itertools
import os
import signal
import time

import psutil
import pytest

from llmrec_assets.serving import engine as engines
from llmrec_assets.serving.engine import Engine
from llmrec_assets.serving.measures import ServiceMeasures
from llmrec_assets.serving.rankers import Ranker


def rankers(process):
    """The processes that rank for a service."""
    return [
        child
        for child in psutil.Process(process.process.pid).children()
        if "llmrec_assets.serving.ranker" in " ".join(child.cmdline())
    ]


_users = itertools.count()


def source(client):
    """How a list came to be that nobody published or made before."""
    answer = client.recommend(f"u{next(_users):04}", k=25)
    assert answer.status == 200
    assert len(answer.json["items"]) == 25
    return answer.json["source"]


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSEGV])
def test_a_process_that_ends_is_replaced_and_lists_stand_in_until_then(start, sent):
    process = start()
    client = process.client()
    assert source(client) == "live"
    (ranker,) = rankers(process)
    os.kill(ranker.pid, sent)
    process.wait_for_log("the process that ranks ended")
    assert source(client) == "fallback"
    process.wait_for_log("another ranks")
    assert source(client) == "live"
    (another,) = rankers(process)
    assert another.pid != ranker.pid
    ended = "llmrec_rankers_ended_total"
    assert process.metric(ended)[ended] == 1


def test_a_process_that_hangs_costs_the_budget_and_no_failure(start):
    process = start(LLMREC_SERVE_BUDGET_MS="300")
    (ranker,) = rankers(process)
    ranker.suspend()
    assert source(process.client()) == "fallback"
    ranker.resume()
    deadline = time.monotonic() + 30
    while source(process.client()) != "live":
        assert time.monotonic() < deadline


def test_a_process_that_hangs_for_good_is_replaced(start):
    process = start(LLMREC_SERVE_BUDGET_MS="300")
    (ranker,) = rankers(process)
    ranker.suspend()
    assert source(process.client()) == "fallback"
    time.sleep(10.5)
    assert source(process.client()) == "fallback"
    process.wait_for_log("another ranks")
    deadline = time.monotonic() + 30
    while source(process.client()) != "live":
        assert time.monotonic() < deadline
    assert not ranker.is_running()


def test_the_process_ends_with_its_service_however_that_ends(start):
    for end in ("stop", "kill"):
        process = start()
        (ranker,) = rankers(process)
        getattr(process, end)()
        ranker.wait(timeout=20)


def test_an_old_package_leaves_no_process(start, store, serving_root):
    process = start()
    (before,) = rankers(process)
    store.switch(serving_root, 1)
    process.wait_for_log("package took over")
    before.wait(timeout=20)
    assert len(rankers(process)) == 1


def test_a_process_that_cannot_be_started_now_is_started_later(monkeypatch, tmp_path):
    """As where the memory that took the first one is still short; the package is not there."""
    monkeypatch.setattr(engines, "_FIRST_PAUSE", 0.01)
    started, start = [], Engine.start

    async def short_of_memory(self, package, canary_users):
        started.append(package)
        if len(started) == 1:
            raise OSError(12, "Cannot allocate memory")
        return await start(self, package, canary_users)

    monkeypatch.setattr(Engine, "start", short_of_memory)

    async def play():
        engine = Engine(0.05, 8, ServiceMeasures())
        engine.use(await Ranker.start(tmp_path, 0, 0.05, False))
        while len(started) < 2:
            await asyncio.sleep(0.05)
        await engine.stop()

    asyncio.run(asyncio.wait_for(play(), 60))
    assert started == [tmp_path] * 2
