"""What a link costs: straight, through the lab's proxy, and through Toxiproxy, in the same run.

    python -m tests.bench.bench_proxy           about 40 s

Everything on loopback; an echo server in a process of its own, 200 bytes there and back unless
said otherwise. Each way is measured in turn, several rounds of it, and medians are shown, as a
machine with other things to do changes from one second to the next.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import NamedTuple, cast

import psutil
import uvloop

from lab.errors import EngineError
from tests.bench.results import keep
from tests.contract.proxy_servers import OURS, REAL, ROOT, Server, running

ROUNDS = 5
MESSAGE = b"x" * 200
FOR_S = 0.7
RATE_PER_S = 1000
AT_ONCE = 16
BULK_BYTES = 32 << 20
DIRECT = "direct"


class Way(NamedTuple):
    """One way to the server; `process` is the proxy in between."""

    name: str
    port: int
    process: psutil.Process | None
    message: bytes = MESSAGE


class Echo(asyncio.Protocol):
    """The server."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class Caller(asyncio.Protocol):
    """One connection of the client; each `ask` waits until as much as it sent has come back."""

    def __init__(self, message: bytes) -> None:
        self._message = message
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._got = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        self._got += len(data)
        while self._waiting and self._got >= self._waiting[0][0]:
            count, done = self._waiting.popleft()
            self._got -= count
            done.set_result(None)

    async def ask(self, data: bytes | None = None) -> float:
        data = self._message if data is None else data
        began_s = time.perf_counter()
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((len(data), done))
        self.transport.write(data)
        await done
        return time.perf_counter() - began_s


@contextlib.asynccontextmanager
async def calling(way: Way, count: int) -> AsyncIterator[list[Caller]]:
    """So many connections."""
    loop = asyncio.get_running_loop()
    callers = [
        (await loop.create_connection(lambda: Caller(way.message), "127.0.0.1", way.port))[1]
        for _ in range(count)
    ]
    try:
        yield callers
    finally:
        for caller in callers:
            caller.transport.close()


async def one_after_the_other(way: Way) -> list[float]:
    """Round trips on one connection, as quick as they come."""
    async with calling(way, 1) as (caller,):
        until_s = time.monotonic() + FOR_S
        times = []
        while time.monotonic() < until_s:
            times.append(await caller.ask())
        return times


async def at_a_rate(way: Way) -> list[float]:
    """Round trips at so many per second over 50 connections, from when they were due."""
    loop = asyncio.get_running_loop()
    async with calling(way, 50) as callers:
        began_s = loop.time()
        tasks = []
        for n in range(int(RATE_PER_S * FOR_S)):
            await asyncio.sleep(began_s + n / RATE_PER_S - loop.time())
            tasks.append(asyncio.ensure_future(callers[n % 50].ask()))
        return list(await asyncio.gather(*tasks))


async def all_at_once(way: Way) -> list[float]:
    """Round trips on 16 connections, as quick as they come."""
    until_s = time.monotonic() + FOR_S

    async def use(caller: Caller) -> list[float]:
        times = []
        while time.monotonic() < until_s:
            times.append(await caller.ask())
        return times

    async with calling(way, AT_ONCE) as callers:
        return [t for times in await asyncio.gather(*map(use, callers)) for t in times]


async def new_connections(way: Way) -> list[float]:
    """Connect and one round trip, one after the other."""
    until_s = time.monotonic() + FOR_S
    times = []
    while time.monotonic() < until_s:
        began_s = time.perf_counter()
        async with calling(way, 1) as (caller,):
            await caller.ask()
        times.append(time.perf_counter() - began_s)
    return times


async def bulk(way: Way) -> list[float]:
    """32 MiB there and back on one connection."""
    async with calling(way, 1) as (caller,):
        return [await caller.ask(bytes(BULK_BYTES))]


def percentile(times: list[float], share: float) -> float:
    """The time that this share of them does not exceed."""
    return sorted(times)[min(len(times) - 1, int(len(times) * share))]


class Measured(NamedTuple):
    """Medians over the rounds."""

    p50_s: float
    p99_s: float
    per_s: float
    cpu_s: float


def measure(ways: list[Way], work: Callable[[Way], Awaitable[list[float]]]) -> dict[str, Measured]:
    """Every way in turn, several times."""
    rounds: dict[str, list[Measured]] = {way.name: [] for way in ways}
    for _ in range(ROUNDS):
        for way in ways:
            cpu_s = sum(way.process.cpu_times()[:2]) if way.process else 0.0
            began_s = time.monotonic()
            times = uvloop.run(work(way))
            took_s = time.monotonic() - began_s
            if way.process:
                cpu_s = sum(way.process.cpu_times()[:2]) - cpu_s
            rounds[way.name].append(
                Measured(
                    percentile(times, 0.5),
                    percentile(times, 0.99),
                    len(times) / took_s,
                    cpu_s / len(times),
                )
            )
    return {
        name: Measured(*(statistics.median(values) for values in zip(*found, strict=True)))
        for name, found in rounds.items()
    }


def show(title: str, found: dict[str, Measured]) -> None:
    """One table."""
    print(f"\n{title}")
    print(
        "                 p50      added       p99      added        /s   of direct  CPU of proxy"
    )
    straight = found[DIRECT]
    for name, m in found.items():
        added = [f"{(a - b) * 1e6:>+7.0f} us" for a, b in zip(m[:2], straight[:2], strict=True)]
        print(
            f"{name:10} {m.p50_s * 1e6:>7.0f} us {added[0]} {m.p99_s * 1e6:>7.0f} us {added[1]}"
            f" {m.per_s:>9.0f} {m.per_s / straight.per_s:>10.2f}x"
            + (f" {m.cpu_s * 1e6:>9.0f} us" if m.cpu_s else "")
        )
        key = f"proxy.{title.replace(',', '').replace(' ', '_')}.{name}"
        keep({f"{key}.added_p50_s": m.p50_s - straight.p50_s})
        keep({f"{key}.of_direct": m.per_s / straight.per_s})


def show_bulk(found: dict[str, Measured]) -> None:
    """Bytes instead of round trips."""
    print("\n32 MiB there and back")
    for name, m in found.items():
        rate = 2 * BULK_BYTES / m.p50_s / 1e6
        print(f"{name:10} {rate:>8.0f} MB/s {found[DIRECT].p50_s / m.p50_s:>7.2f}x")


def late(servers: list[Server], port: int) -> None:
    """How exact a delay is."""
    print("\nlatency toxic: asked, and what round trips took (p50)")
    for server in servers:
        link = server.link(port)
        path = f"/proxies/{link.name}/toxics"
        seen = []
        for delay_ms in (1, 5, 20, 100):
            body = {"name": "late", "type": "latency", "attributes": {"latency": delay_ms}}
            server.ask("POST", path, body)
            way = Way(server.kind, link.port, None)
            times = uvloop.run(one_after_the_other(way))
            seen.append(f"{delay_ms} ms: {percentile(times, 0.5) * 1e3:.2f} ms")
            server.ask("DELETE", f"{path}/late")
        print(f"{server.kind:10} {', '.join(seen)}")


@contextlib.contextmanager
def echoing() -> Iterator[int]:
    """The server's port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.bench_proxy", "echo"], cwd=ROOT, stdout=subprocess.PIPE
    )
    try:
        assert process.stdout
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


async def be_echo() -> None:
    """In a process of its own."""
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def main() -> None:
    """Print all tables."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port = stack.enter_context(echoing())
        servers = [stack.enter_context(running(OURS, folder))]
        try:
            servers.append(stack.enter_context(running(REAL, folder)))
        except EngineError as error:
            print(f"without Toxiproxy: {error.message}")
        ways = [Way(DIRECT, port, None)]
        for server in servers:
            process = psutil.Process(server.process.pid)
            ways.append(Way(server.kind, server.link(port).port, process))
        print(f"load of this machine before: {os.getloadavg()[0]:.1f}")
        show("one connection, one after the other", measure(ways, one_after_the_other))
        show(f"50 connections, {RATE_PER_S} per second", measure(ways, at_a_rate))
        show(f"{AT_ONCE} connections, as many as they can", measure(ways, all_at_once))
        show("a new connection each, one after the other", measure(ways, new_connections))
        show_bulk(measure(ways, bulk))
        late(servers, port)


if __name__ == "__main__":
    if sys.argv[1:]:
        uvloop.run(be_echo())
    else:
        main()
