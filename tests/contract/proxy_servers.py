"""Proxy servers for the tests: the real Toxiproxy and the lab's own, and peers around them."""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
import json
import shutil
import socket
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from lab.engines.docker.daemon import connect
from lab.engines.docker.images import Images
from lab.engines.docker.parts import TOXIPROXY_IMAGE
from lab.engines.docker.up import CATALOGUE
from tests.contract.loopback import ROOT

REAL, OURS = "toxiproxy", "embedded"
OURS_WITHOUT_UVLOOP = "embedded, standard event loop"

_WITHOUT_UVLOOP = (
    "import sys; sys.modules['uvloop'] = None; from lab.proxies.embedded.__main__ import main; "
    "main()"
)

BOTH = [
    pytest.param(REAL, marks=() if shutil.which("toxiproxy-server") else pytest.mark.docker),
    OURS,
]

LATE_S = 0.4
"""How much later than due anything may happen on a machine that has other things to do."""

EARLY_S = 0.001
"""How much earlier than due: clocks are read before and after, timers round."""


class Answer(NamedTuple):
    """Status and body, JSON decoded where it is JSON."""

    status: int
    body: Any


class Server:
    """One proxy server, its API, and ports for its proxies."""

    def __init__(self, kind: str, url: str, process: subprocess.Popen[bytes]) -> None:
        self.kind = kind
        self.url = url
        self.process = process
        self._numbers = itertools.count(1)

    def ask(
        self, method: str, path: str, body: Any = None, timeout_s: float = 5.0, **headers: str
    ) -> Answer:
        """One request to its API; a body that is bytes is sent as it is."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(  # noqa: S310 - loopback
            self.url + path, data, {"Content-Type": "application/json", **headers}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as answer:  # noqa: S310
                return Answer(answer.status, _decoded(answer.read()))
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, _decoded(error.read()))

    async def do(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """The same beside the event loop."""
        return await asyncio.to_thread(self.ask, method, path, body, **headers)

    def link(self, upstream_port: int) -> Link:
        """A new proxy, enabled, on a free port."""
        name = f"link-{next(self._numbers)}"
        body = {"name": name, "listen": "127.0.0.1:0", "upstream": f"127.0.0.1:{upstream_port}"}
        answer = self.ask("POST", "/proxies", body)
        assert answer.status == 201, answer
        return Link(self, name, int(answer.body["listen"].rpartition(":")[2]))


class Link:
    """One proxy of a server."""

    def __init__(self, server: Server, name: str, port: int) -> None:
        self.server, self.name, self.port = server, name, port

    async def add(
        self, kind: str, stream: str = "downstream", toxicity: float = 1.0, **attributes: int
    ) -> str:
        """Add a toxic named after its kind and stream."""
        name = f"{kind}_{stream}"
        body = {"type": kind, "stream": stream, "toxicity": toxicity, "attributes": attributes}
        answer = await self.server.do("POST", f"/proxies/{self.name}/toxics", body)
        assert answer.status == 200, answer
        return name

    async def change(self, toxic: str, **body: Any) -> None:
        """Update a toxic."""
        path = f"/proxies/{self.name}/toxics/{toxic}"
        answer = await self.server.do("PATCH", path, body)
        assert answer.status == 200, answer

    async def remove(self, toxic: str) -> None:
        """Remove a toxic."""
        answer = await self.server.do("DELETE", f"/proxies/{self.name}/toxics/{toxic}")
        assert answer.status == 204, answer

    async def enable(self, enabled: bool) -> None:
        """Enable or disable it."""
        answer = await self.server.do("PATCH", f"/proxies/{self.name}", {"enabled": enabled})
        assert answer.status == 200, answer

    async def open(self) -> Client:
        """A connection through it."""
        return Client(*await asyncio.open_connection("127.0.0.1", self.port, limit=1 << 22))


class Client:
    """One connection and how long things take on it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, data: bytes) -> None:
        """Send, without waiting."""
        self.writer.write(data)

    async def read(self, count: int, timeout_s: float = 5.0) -> bytes:
        """Exactly so many bytes, or those before the end (of either kind) or within the time."""
        got = b""
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            async with asyncio.timeout(timeout_s):
                while len(got) < count and (more := await self.reader.read(count - len(got))):
                    got += more
        return got

    async def ask(self, data: bytes = b"hello", timeout_s: float = 5.0) -> tuple[bytes, float]:
        """Send, wait for as many bytes; and how many seconds that took."""
        began_s = time.monotonic()
        self.send(data)
        return await self.read(len(data), timeout_s), time.monotonic() - began_s

    async def ending(self, timeout_s: float = 5.0) -> tuple[str, float]:
        """How it ends, `eof`, `reset` or `open`, and after how many seconds."""
        began_s = time.monotonic()
        how = "open"
        try:
            async with asyncio.timeout(timeout_s):
                while await self.reader.read(65536):
                    pass
                how = "eof"
        except TimeoutError:
            pass
        except (ConnectionResetError, BrokenPipeError):
            how = "reset"
        return how, time.monotonic() - began_s

    async def close(self) -> None:
        """Let go of it."""
        self.writer.transport.abort()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


class Peer:
    """A server that does with each connection what it was made for; counts them."""

    def __init__(self) -> None:
        self.port = 0
        self.opened = 0
        self.ended: list[str] = []

    async def echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Everything back; notes how the connection ends."""
        self.opened += 1
        how = "eof"
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        except OSError:
            how = "reset"
        self.ended.append(how)
        writer.close()


@contextlib.asynccontextmanager
async def serving(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any] | None = None,
) -> AsyncIterator[Peer]:
    """A peer on loopback; echoes unless told otherwise."""
    peer = Peer()
    under_way: dict[asyncio.Task[Any] | None, asyncio.StreamWriter] = {}

    async def handled(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        under_way[asyncio.current_task()] = writer
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await (handle or peer.echo)(reader, writer)

    server = await asyncio.start_server(handled, "127.0.0.1", 0, limit=1 << 22)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        server.close()
        for task, writer in under_way.items():
            if task:
                task.cancel()
            writer.transport.abort()
        await asyncio.gather(*filter(None, under_way), return_exceptions=True)
        for writer in under_way.values():
            with contextlib.suppress(OSError):
                await writer.wait_closed()


@contextlib.contextmanager
def running(kind: str, folder: Path, *arguments: str) -> Iterator[Server]:
    """A server in a process of its own."""
    if kind == REAL:
        server = _start_real(folder, *arguments)
    else:
        run = ["-m", "lab.proxies.embedded"] if kind == OURS else ["-c", _WITHOUT_UVLOOP]
        server = _start_ours(*run, *arguments)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.wait()
        for stream in (server.process.stdin, server.process.stdout):
            if stream:
                stream.close()


async def until(true: Callable[[], object], limit_s: float = 5.0) -> None:
    """Wait until something is true."""
    async with asyncio.timeout(limit_s):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _start_ours(*arguments: str) -> Server:
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout
    ready = json.loads(process.stdout.readline())
    assert ready["is"] == "ready"
    return Server(OURS, ready["url"], process)


def _start_real(folder: Path, *arguments: str) -> Server:
    program = shutil.which("toxiproxy-server") or str(_from_image(folder))
    port = free_port()
    process = subprocess.Popen(
        [program, "-host", "127.0.0.1", "-port", str(port), *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    server = Server(REAL, f"http://127.0.0.1:{port}", process)
    until_s = time.monotonic() + 10
    while True:
        try:
            server.ask("GET", "/version")
        except OSError:
            assert time.monotonic() < until_s, "toxiproxy-server did not start"
            time.sleep(0.02)
        else:
            return server


def _from_image(folder: Path) -> Path:
    """The static program out of the lab's image, taken once per session."""
    program = folder / "toxiproxy"
    if program.exists():
        return program
    client = connect()
    try:
        images = Images(client, print, CATALOGUE)
        container = client.containers.create(images.ensure(TOXIPROXY_IMAGE))
        try:
            chunks, _ = container.get_archive("/toxiproxy")
            with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
                archive.extract("toxiproxy", folder, filter="data")
        finally:
            container.remove()
    finally:
        client.close()
    program.chmod(0o755)
    return program


def _decoded(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode()
