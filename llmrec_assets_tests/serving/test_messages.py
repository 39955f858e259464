"""What the service and the process that ranks tell each other comes through as it was."""

import asyncio
import socket
from dataclasses import fields, is_dataclass

import numpy as np
import pytest

from llmrec_assets.core.lists import ListSettings
from llmrec_assets.core.new_events import NewEvent
from llmrec_assets.core.reranking import Reranking
from llmrec_assets.serving import messages
from llmrec_assets.serving.messages import Asked, Frames, Ranked, Ready, Refusal
from llmrec_assets.serving.model import EVERYTHING, Slots
from llmrec_assets.serving.ranking import Job

NUMBERS = np.array([0.1 + 0.2, -np.inf, np.nan, 5e-324])
SLOTS = Slots(
    np.array([3, 1, 2**62, 4]), NUMBERS, NUMBERS[::-1], np.array([1.0, 0.5, 1 / 3, 0.0]),
    np.array(["model", "exploration", "fallback", "model"], dtype=object),
)  # fmt: skip
NO_SLOTS = SLOTS.where(slice(0))
JOB = Job(
    user=7,
    new=[NewEvent(3, 1, 1_700_000_000_000_001, rating=4.5, caused=True), NewEvent(4, 0, -5)],
    settings=ListSettings(10, True, 0.1, 7, temperature=1.5, diversity=0.2),
    hidden=np.array([5, 6]),
    list_id='l\u00fc 1\u2028"',
    filters=(("书", "Books"), None, 9.99),
    reranking=Reranking(0.3, max_per_category=2, never=frozenset({8, 9}), always=frozenset({3})),
)
PLAIN = Job(None, [], ListSettings(1, False, 0.0, 1), np.zeros(0, dtype=np.int64), "")
MESSAGES = [
    Ready(quick=True),
    Refusal("a file is missing"),
    Asked(1, JOB, 12345.678901234567),
    Asked(2, PLAIN, 0.0),
    Ranked([(1, SLOTS), (2, None), (3, NO_SLOTS)], 2, 0.0123),
    Ranked([], 0, 0.0),
]


def same(one, other):
    """Equal in every type, digit and order."""
    if is_dataclass(one):
        names = [field.name for field in fields(one)]
        return type(one) is type(other) and all(
            same(getattr(one, name), getattr(other, name)) for name in names
        )
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and same(one.tolist(), other.tolist())
    if isinstance(one, list | tuple):
        return type(one) is type(other) and len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and (one == other or (one != one and other != other))


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_comes_through_as_it_was(message):
    assert same(messages.unpacked(messages.packed(message)[4:]), message)


def test_what_is_left_out_is_told_too():
    job = messages.unpacked(messages.packed(Asked(2, PLAIN, 0.0))[4:]).job
    assert job.filters == EVERYTHING
    assert job.reranking.changes_nothing


def test_messages_are_told_apart_in_a_stream():
    ours, theirs = socket.socketpair()

    async def talk():
        reader, writer = await asyncio.open_connection(sock=ours)
        for message in MESSAGES[2:4]:
            writer.write(messages.packed(message))
        await writer.drain()
        frames = Frames(theirs)
        asked = await asyncio.to_thread(frames.take, 2)
        frames.send(MESSAGES[4])
        ranked = await messages.read(reader)
        writer.close()
        return asked, ranked

    asked, ranked = asyncio.run(talk())
    assert all(same(one, other) for one, other in zip(asked, MESSAGES[2:4], strict=True))
    assert same(ranked, MESSAGES[4])
    theirs.close()
