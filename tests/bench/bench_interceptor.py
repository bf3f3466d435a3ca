"""What the interceptor of HTTP links costs, beside the same server straight, in the same run.

    python -m tests.bench.bench_interceptor           about 25 s

A request of 200 bytes and an answer of as many; with no rule, and with one on that looks at every
request and strikes none.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, cast

import psutil
import uvloop

from tests.bench.bench_proxy import (
    AT_ONCE,
    DIRECT,
    RATE_PER_S,
    Way,
    all_at_once,
    at_a_rate,
    measure,
    new_connections,
    one_after_the_other,
    show,
)
from tests.contract.proxy_servers import ROOT

_SIZE = 200


def padded(head: bytes) -> bytes:
    """A head of so many bytes in all."""
    return head + b"X-Padding: " + b"x" * (_SIZE - len(head) - 15) + b"\r\n\r\n"


REQUEST = padded(b"GET /orders/7 HTTP/1.1\r\nHost: shop\r\nUser-Agent: bench\r\nAccept: */*\r\n")
ANSWER = padded(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n")


class Server(asyncio.Protocol):
    """Answers each request, knowing its size."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(ANSWER * (len(data) // _SIZE))


async def be_server() -> None:
    """In a process of its own."""
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


class Interceptor:
    """One that runs, and takes orders."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.pid = process.pid
        self._process = process

    def order(self, do: str, **arguments: Any) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"id": 1, "do": do, **arguments}).encode() + b"\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())["is"]


@contextlib.contextmanager
def started(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process with its streams."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-m", *command], cwd=ROOT, stdin=pipe, stdout=pipe
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def main() -> None:
    """Print all tables."""
    with contextlib.ExitStack() as stack:
        serving = stack.enter_context(started("tests.bench.bench_interceptor", "server"))
        assert serving.stdout
        port = int(serving.stdout.readline())
        interceptor = Interceptor(stack.enter_context(started("lab.proxies.interceptor")))
        upstreams = dict.fromkeys(("pass", "rule"), ("127.0.0.1", port))
        doors = interceptor.order("open", upstreams=upstreams)
        rule = {"name": "r", "path": "/orders/*", "method": "GET", "share": 0.0, "status": 503}
        interceptor.order("arm", rules={"rule": rule})
        process = psutil.Process(interceptor.pid)
        ways = [Way(DIRECT, port, None, REQUEST)]
        ways += [Way(name, door[1], process, REQUEST) for name, door in doors.items()]
        print(f"load of this machine before: {os.getloadavg()[0]:.1f}")
        show("one connection, one after the other", measure(ways, one_after_the_other))
        show(f"50 connections, {RATE_PER_S} per second", measure(ways, at_a_rate))
        show(f"{AT_ONCE} connections, as many as they can", measure(ways, all_at_once))
        show("a new connection each, one after the other", measure(ways, new_connections))


if __name__ == "__main__":
    if sys.argv[1:]:
        uvloop.run(be_server())
    else:
        main()
