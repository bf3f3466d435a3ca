"""A real HTTP server on loopback that misbehaves on demand, and a real driver process for it.

The path says how a request is treated (see `_Peer.ANSWERS`); `/seen` returns every request line the
server has read. Run as a program it is the server, so that a test can freeze it with SIGSTOP.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

ROOT = Path(__file__).resolve().parents[2]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

BUSY_HOST_S = 0.25
"""How much later than due anything may happen on a machine that has other things to do."""


class _Peer(asyncio.Protocol):
    """One connection to the server."""

    seen: ClassVar[list[str]] = []
    visits: ClassVar[Counter[str]] = Counter()

    ANSWERS: ClassVar = {
        "ok": OK,
        "500": b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
        "404": b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        "302": b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n",
        "204": b"HTTP/1.1 204 No Content\r\n\r\n",
        "continue": b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
        "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "nonsense": b"SMTP here, who are you?\r\n\r\n",
        "stall": b"",
    }
    LAST_WORDS: ClassVar = {  # sent, then the connection closes
        "close": b"",
        "truncate": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello",
        "half-head": b"HTTP/1.1 200 OK\r\nContent-",
        "half-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        "until-eof": b"HTTP/1.1 200 OK\r\n\r\nhello",
        "ok-then-close": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
    }

    def __init__(self) -> None:
        self.buffer = b""
        self.served = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while b"\r\n\r\n" in self.buffer and not self.transport.is_closing():
            head, _, rest = self.buffer.partition(b"\r\n\r\n")
            length = 0
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            if len(rest) < length:
                return
            self.buffer = rest[length:]
            self.answer(head.decode(), rest[:length].decode())

    def answer(self, head: str, body: str) -> None:
        method, path, _ = head.split("\r\n", maxsplit=1)[0].split(" ")
        way = path.split("/")[1]
        if way == "seen":
            text = json.dumps(self.seen).encode()
            self.transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(text), text)
            )
            return
        self.seen.append(f"{method} {path} {body}".strip())
        self.visits[path] += 1
        self.served += 1
        if way == "once" and self.served > 1:  # the race of an idle connection's end
            self.transport.close()
        elif way == "reset":
            linger = struct.pack("ii", 1, 0)
            self.transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, linger
            )
            self.transport.abort()
        elif way == "second-time":
            self.transport.write(OK if self.visits[path] > 1 else self.ANSWERS["500"])
        elif way == "second-time-stall":
            if self.visits[path] > 1:
                self.transport.write(self.ANSWERS["500"])
        elif way in self.LAST_WORDS:
            self.transport.write(self.LAST_WORDS[way])
            self.transport.close()
        else:
            self.transport.write(self.ANSWERS.get(way, OK))


async def _serve() -> None:
    server = await asyncio.get_running_loop().create_server(_Peer, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


class Server:
    """The server's process; `freeze` stops it dead, as a paused container is."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    async def seen(self) -> list[str]:
        """Every request the server read, in order."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(b"GET /seen HTTP/1.1\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0]))
        writer.close()
        await writer.wait_closed()
        found: list[str] = json.loads(body)
        return found


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    """A server of its own for the duration."""
    command = [sys.executable, str(Path(__file__).resolve())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Server(process, int(process.stdout.readline()))
        finally:
            process.kill()


class Row(NamedTuple):
    """One operation as the driver reports it."""

    request: int
    key: str
    due_s: float
    sent_s: float
    done_s: float
    outcome: str
    status: int
    attempts: int
    error: str


@dataclass
class Seen:
    """Everything one load of a driver brought."""

    ops: list[Row] = field(default_factory=list)
    ticks: list[dict[str, Any]] = field(default_factory=list)
    done: dict[str, Any] = field(default_factory=dict)
    at_s: float = 0.0


class DriverProcess:
    """A real driver process, spoken to over its pipes."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        assert process.stdin
        assert process.stdout
        self.orders, self.answers = process.stdin, process.stdout

    def order(self, **message: Any) -> None:
        self.orders.write(json.dumps(message).encode() + b"\n")

    async def next(self) -> dict[str, Any]:
        """The next message, within 20 s; {} at the end."""
        async with asyncio.timeout(20):
            line = await self.answers.readline()
        message: dict[str, Any] = json.loads(line or b"{}")
        return message

    async def start(self, spec: dict[str, Any], in_s: float = 0.05) -> Seen:
        """Load and start; returns when the driver has said that it started."""
        self.order(do="load", spec=spec)
        assert await self.next() == {"is": "ready"}
        seen = Seen(at_s=time.monotonic() + in_s)
        self.order(do="start", at_s=seen.at_s)
        assert (await self.next())["is"] == "started"
        return seen

    async def finish(self, seen: Seen) -> Seen:
        """Read until done."""
        while message := await self.next():
            match message["is"]:
                case "ops":
                    seen.ops += [Row(*row) for row in message["ops"]]
                case "tick":
                    seen.ticks.append(message)
                case "done":
                    seen.done = message
                    return seen
                case _:
                    raise AssertionError(message)
        raise AssertionError("the driver ended before it was done")

    async def run(self, spec: dict[str, Any]) -> Seen:
        """One load from beginning to end."""
        return await self.finish(await self.start(spec))


@contextlib.asynccontextmanager
async def driving(*arguments: str) -> AsyncIterator[DriverProcess]:
    """A driver process of its own for the duration; ends with the end of its stdin."""
    process = await asyncio.create_subprocess_exec(
        *(arguments or (sys.executable, "-m", "lab.load.driver")),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )
    driver = DriverProcess(process)
    try:
        yield driver
    finally:
        driver.orders.close()
        with contextlib.suppress(ProcessLookupError):
            async with asyncio.timeout(10):
                await driver.answers.read()
                await process.wait()


def spec(port: int, *paths: str, **changes: Any) -> dict[str, Any]:
    """A SPEC for half a second at a constant 100/s, unless changed; one request per path."""
    rate_per_s = changes.pop("rate_per_s", 100.0)
    duration_s = changes.get("duration_s", 0.5)
    requests = [{"name": path, "method": "GET", "path": path} for path in paths]
    return {
        "design": "one",
        "seed": 7,
        "host": "127.0.0.1",
        "port": port,
        "loop": "open",
        "users": None,
        "think_s": 0.0,
        "arrivals": "constant",
        "stages": [{"from_per_s": rate_per_s, "to_per_s": rate_per_s, "for_s": duration_s}],
        "duration_s": duration_s,
        "requests": requests,
        "timeout_s": 0.3,
        "retry": {
            "attempts": 1,
            "budget": None,
            "backoff_s": 0,
            "backoff_max_s": 1,
            "jitter": "none",
        },
        "connections": "keep-alive",
        "in_flight_max": 20000,
        "metrics_port": None,
        **changes,
    }


def retry(**changes: Any) -> dict[str, Any]:
    """A retry policy: none, unless changed."""
    plain = {"attempts": 1, "budget": None, "backoff_s": 0, "backoff_max_s": 1, "jitter": "none"}
    return {**plain, **changes}


def ends(ops: list[Row]) -> set[tuple[str, int, int, str]]:
    """How operations ended: outcome, status, attempts, error."""
    return {(op.outcome, op.status, op.attempts, op.error) for op in ops}


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        port: int = held.getsockname()[1]
        return port


if __name__ == "__main__":
    asyncio.run(_serve())
