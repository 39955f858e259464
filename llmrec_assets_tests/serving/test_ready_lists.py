"""A list is ready before it is asked for where its user asked before and something happened."""

import asyncio

import numpy as np
import pytest

from llmrec_assets.serving.model import Slots
from llmrec_assets.serving.ready_lists import ReadyLists
from llmrec_assets_tests.serving.test_feedback import event

NOTHING = np.zeros(0)
SLOTS = Slots(NOTHING, NOTHING, NOTHING, NOTHING, NOTHING)


@pytest.fixture
def loop():
    made = asyncio.new_event_loop()
    yield made
    made.close()


def test_a_list_is_made_once_for_all_who_wait_and_who_come_later(loop):
    async def play():
        ready, made = ReadyLists(), []

        def make():
            made.append(asyncio.get_running_loop().create_future())
            return made[-1]

        waiting = [ready.get("a", make) for _ in range(3)]
        assert "a" in ready and len(made) == 1
        made[0].set_result(SLOTS)
        assert [await one for one in waiting] == [SLOTS] * 3
        assert await ready.get("a", make) is SLOTS
        assert len(made) == 1

    loop.run_until_complete(play())


def test_what_failed_is_made_again_and_a_new_package_starts_from_nothing(loop):
    async def play():
        ready, made = ReadyLists(), []

        def make():
            made.append(asyncio.get_running_loop().create_future())
            return made[-1]

        first = ready.get("a", make)
        made[0].set_result(None)
        assert await first is None
        await asyncio.sleep(0)
        assert "a" not in ready
        late = ready.get("a", make)
        ready.clear()
        made[1].set_result(SLOTS)
        assert await late is SLOTS  # those who waited get it
        await asyncio.sleep(0)
        assert "a" not in ready

    loop.run_until_complete(play())


def test_what_is_kept_is_bounded(loop):
    async def play():
        ready = ReadyLists(most=2)
        for name in "abc":
            done = asyncio.get_running_loop().create_future()
            done.set_result(SLOTS)
            await ready.get(name, lambda done=done: done)
            await asyncio.sleep(0)
            ready.asked(name, None)
        assert [name in ready for name in "abc"] == [False, True, True]
        assert len(ready._asked) == 2

    loop.run_until_complete(play())


def batches(process):
    return process.metric("llmrec_batch_size_sum")["llmrec_batch_size_sum"]


def test_an_event_makes_the_next_list_of_who_asked_before(start):
    process = start()
    client = process.client()
    client.feedback([event(1)])
    assert batches(process) == 0  # its user never asked
    user = event(1)["user_id"]
    before = client.recommend(user, k=7).json
    assert before["source"] == "live"
    made = batches(process)
    client.feedback([event(2)])
    while batches(process) == made:
        pass
    after = client.recommend(user, k=7).json
    assert after["source"] == "live" and after["list_id"] != before["list_id"]
    assert batches(process) == made + 1  # by the event alone
    assert client.recommend(user, k=7).json["items"] == after["items"]
    assert batches(process) == made + 1
