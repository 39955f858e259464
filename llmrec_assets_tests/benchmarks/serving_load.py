"""How fast the online service answers, at 50,000 items by default.

    python -m llmrec_assets_tests.benchmarks.serving_load [--items N] [--users U]
        [--rate R ...] [--new SHARE ...] [--ahead SECONDS] [--slope]

Makes a package, starts `llmrec serve` on it as its own process, and from this process asks it for
lists of random users: at a fixed rate (Poisson arrivals, whose times do not wait for answers, and
latency counted from the intended time of sending), then as fast as 32 connections go. A SHARE of
the requests tells of an event that the package does not have, so the model ranks; the others get
what was published. With --ahead these users post the event so long before they ask, as people do,
instead of bringing it along; users asked before. The service has a process that talks and one that
ranks; this process is a third. The canary is off, as only some of the users have a published list
of their own.
"""

import argparse
import asyncio
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from llmrec_assets.layout import Layout
from llmrec_assets_tests.benchmarks import serving_package
from llmrec_assets_tests.serving.process import Process

CONNECTIONS = 32
K = 20  # items a list


@dataclass
class Load:
    """What was sent and how it was answered."""

    latencies: list[float] = field(default_factory=list)  # seconds
    failed: int = 0
    sources: Counter[str] = field(default_factory=Counter)  # how lists came to be

    def row(self, seconds: float, busy: float) -> str:
        """One line of the report; `busy` are the service's CPU-seconds."""
        n = len(self.latencies)
        p50, p99, most = np.percentile(np.array(self.latencies) * 1e3, [50, 99, 100])
        return (
            f"{n / seconds:8.1f} requests/s  p50 {p50:7.2f} ms  p99 {p99:7.2f} ms  max {most:7.2f}"
            f" ms  CPU {busy / n * 1e3:6.2f} ms/request  {dict(self.sources)}"
            f"  failed {self.failed}"
        )


class Connection:
    """One HTTP/1.1 connection that is kept."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body."""
        self.writer.write(request)
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        return int(head[9:12]), await self.reader.readexactly(length)


async def ask(free: "asyncio.Queue[Connection]", request: bytes, due: float, load: Load) -> None:
    """Ask once and note the time since `due`."""
    connection = await free.get()
    status, body = await connection.ask(request)
    load.latencies.append(time.perf_counter() - due)
    load.failed += status != 200
    load.sources[body.partition(b'"source":"')[2].partition(b'"')[0].decode()] += 1
    free.put_nowait(connection)


async def connected(port: int) -> "asyncio.Queue[Connection]":
    """Connections that are free."""
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        free.put_nowait(Connection(*await asyncio.open_connection("127.0.0.1", port)))
    return free


@dataclass(frozen=True)
class Wanted:
    """What is sent for one list."""

    posted: bytes | None  # ahead of it
    asked: bytes


def requests(n_users: int, n_items: int, new: float, posts: bool, seed: int) -> list[Wanted]:
    """Of random users; a share `new` tells of an event, in a post ahead or along with the wish."""
    n, rng = 20_000, np.random.default_rng(seed)
    users, items = rng.integers(0, n_users, n).tolist(), rng.integers(0, n_items, n).tolist()
    made = []
    for user, item, told in zip(users, items, (rng.random(n) < new).tolist(), strict=True):
        name, event = f"user{user:07}", {"item_id": f"item{item:07}", "behavior": "view"}
        path = f"/v1/users/{name}/recommendations?k={K}"
        if not told:
            made.append(Wanted(None, _request("GET", path)))
        elif posts:
            known = {
                "event_id": f"{time.time_ns()}-{len(made)}",
                "user_id": name,
                "timestamp": int(time.time()),
            }
            posted = _request("POST", "/v1/feedback", {"events": [event | known]})
            made.append(Wanted(posted, _request("GET", path)))
        else:
            along = {"user_id": name, "k": K, "session": [event]}
            made.append(Wanted(None, _request("POST", "/v1/recommendations", along)))
    return made


def _request(method: str, path: str, body: object = None) -> bytes:
    content = json.dumps(body).encode() if body is not None else b""
    head = (
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n" if content else ""
    )
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{head}\r\n".encode() + content


async def at_rate(
    port: int, wanted: list[Wanted], rate: float, seconds: float, ahead: float
) -> Load:
    """Poisson arrivals; what is posted goes `ahead` seconds before."""
    free, load, posts = await connected(port), Load(), Load()
    count, start = int(rate * seconds), time.perf_counter() + ahead
    due = start + np.random.default_rng(1).exponential(1 / rate, count).cumsum()
    todo = [(at, one.asked, load) for at, one in zip(due.tolist(), wanted, strict=False)]
    todo += [
        (at - ahead, one.posted, posts)
        for at, one in zip(due.tolist(), wanted, strict=False)
        if one.posted
    ]
    tasks = []
    for at, request, into in sorted(todo, key=lambda one: one[0]):
        await asyncio.sleep(max(0.0, at - time.perf_counter()))
        tasks.append(asyncio.create_task(ask(free, request, at, into)))
    await asyncio.gather(*tasks)
    load.failed += posts.failed
    return load


async def saturated(port: int, wanted: list[Wanted], seconds: float) -> Load:
    """Every connection asks again as soon as it was answered."""
    free, load = await connected(port), Load()
    end, waiting = time.perf_counter() + seconds, itertools.cycle(one.asked for one in wanted)

    async def again() -> None:
        while time.perf_counter() < end:
            await ask(free, next(waiting), time.perf_counter(), load)

    await asyncio.gather(*(again() for _ in range(CONNECTIONS)))
    return load


def measure(layout: Layout, asked: argparse.Namespace, n_items: int, rates: list[float]) -> float:
    """Report one package; the service's megabytes after it."""
    service = Process(
        layout,
        LLMREC_SERVE_CANARY_USERS="0",
        LLMREC_SERVE_RATE="1000000",
        LLMREC_SERVE_BUDGET_MS=asked.budget_ms,
        OMP_NUM_THREADS="1",
    )
    try:
        service.wait_until_ready()
        port, talks = service.port, psutil.Process(service.process.pid)
        processes = [talks, *talks.children()]
        posts = asked.ahead > 0
        for share in asked.new:
            asyncio.run(saturated(port, requests(asked.users, n_items, 0, False, 0), 5.0))  # warm
            for seed, rate in enumerate(rates):
                wanted = requests(asked.users, n_items, share, posts, seed)
                run = at_rate(port, wanted, rate, asked.seconds, asked.ahead)
                _report(processes, run, f"{rate:g}/s", share)
            if not posts:
                wanted = requests(asked.users, n_items, share, posts, 0)
                _report(processes, saturated(port, wanted, asked.seconds), "saturated", share)
        return sum(process.memory_full_info().pss for process in processes) / 1e6
    finally:
        service.kill()


def _report(
    processes: list[psutil.Process], run: Coroutine[None, None, Load], name: str, new: float
) -> None:
    before, started = _busy(processes), time.perf_counter()
    load = asyncio.run(run)
    spent, busy = time.perf_counter() - started, _busy(processes) - before
    print(
        f"{new:4.0%} new {name:>10} {load.row(spent, busy)}  load average {os.getloadavg()[0]:.1f}",
        flush=True,
    )


def _busy(processes: list[psutil.Process]) -> float:
    """CPU-seconds that they have spent."""
    times = [process.cpu_times() for process in processes]
    return sum(spent.user + spent.system for spent in times)


def package(folder: Path, n_items: int, n_users: int) -> Layout:
    """A root with a package, made in another process, so that this one stays small."""
    layout = Layout(folder / f"{n_items}")
    if not layout.current_package.exists():
        code = (
            "from pathlib import Path; from llmrec_assets.layout import Layout;"
            "from llmrec_assets_tests.benchmarks.serving_package import publish;"
            f"publish(Layout(Path({str(layout.root)!r})), {n_items}, {n_users})"
        )
        subprocess.run([sys.executable, "-c", code], check=True)
    return layout


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--rate", type=float, nargs="+", default=[100.0])
    parser.add_argument("--new", type=float, nargs="+", default=[0.0, 0.2, 1.0], metavar="SHARE")
    parser.add_argument("--ahead", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--budget-ms", default="50")
    parser.add_argument("--slope", action="store_true", help="Memory at twice the items too.")
    parser.add_argument("--folder", type=Path, help="Keep the packages here.")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = asked.folder or Path(made)
        sizes = [asked.items, 2 * asked.items] if asked.slope else [asked.items]
        memory = []
        for n_items in sizes:
            layout = package(folder, n_items, asked.users)
            print(f"{n_items} items, {asked.users} users, {serving_package.EVENTS} events each")
            rates = asked.rate if n_items == asked.items else []
            memory.append(measure(layout, asked, n_items, rates))
            print(f"{'memory':>10} {memory[-1]:8.0f} MB of both processes (PSS)")
        if asked.slope:
            slope = (memory[1] - memory[0]) / asked.items * 1e6
            print(f"{'slope':>10} {slope:8.0f} MB for 1e6 items more")


if __name__ == "__main__":
    main()
