"""Where the lab's proxy differs from Toxiproxy 2.12 on purpose: what each does, and why.

Everything else is the same and shown to be in `test_proxy_behaviour.py` and `test_proxy_api.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import re
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.contract.proxy_servers import (
    BOTH,
    OURS,
    REAL,
    ROOT,
    Link,
    Server,
    running,
    serving,
    until,
)

AT_ONCE_S = 1.5
REFERENCE = ROOT / "docs" / "reference" / "proxy.md"


@dataclass(frozen=True)
class Difference:
    """What is seen at each server, and why the lab wants it otherwise."""

    see: Callable[[Server, Path], Awaitable[object]]
    toxiproxy: object
    embedded: object
    why: str
    arguments: tuple[str, ...] = ()


async def toxic_added_while_the_server_does_not_read(server: Server, _: Path) -> str:
    with deaf() as port:
        link = server.link(port)
        client = await link.open()
        client.send(b"x" * (64 << 20))
        await stalled(client.writer)
        body = {"type": "latency", "stream": "upstream", "attributes": {"latency": 1}}
        seen = await answered(server, "POST", f"/proxies/{link.name}/toxics", body)
        await client.close()
        return seen


async def disabled_while_the_server_drops_connection_attempts(server: Server, _: Path) -> str:
    with dropping() as port:
        link = server.link(port)
        clients = [await link.open() for _ in range(2)]
        seen = await answered(server, "PATCH", f"/proxies/{link.name}", {"enabled": False})
        for client in clients:
            await client.close()
        return seen


async def reply_after_the_client_has_said_that_it_is_done(server: Server, _: Path) -> bytes:
    async def reply(reader, writer):
        await reader.read()
        await asyncio.sleep(0.05)
        writer.write(b"bye")
        writer.close()

    async with serving(reply) as peer:
        client = await server.link(peer.port).open()
        client.send(b"x")
        client.writer.write_eof()
        got = await client.read(3, 1.0)
        await client.close()
        return got


async def reset_of_a_connection_that_was_open_before(server: Server, _: Path) -> str:
    async with serving() as peer:
        link = server.link(peer.port)
        client = await link.open()
        await client.ask()
        await link.add("reset_peer", "upstream", timeout=0)
        client.send(b"x")
        how, _ = await client.ending(1.0)
        await client.close()
        return how


async def end_of_a_connection_that_reset_peer_did_not_hit(server: Server, _: Path) -> list[str]:
    async with serving() as peer:
        link = server.link(peer.port)
        await link.add("reset_peer", "upstream", toxicity=0.0, timeout=0)
        client = await link.open()
        await client.ask()
        client.writer.close()
        await until(lambda: peer.ended)
        return peer.ended


async def connection_that_a_removed_timeout_never_touched(server: Server, _: Path) -> str:
    async with serving() as peer:
        link = server.link(peer.port)
        toxic = await link.add("timeout", toxicity=0.0, timeout=0)
        client = await link.open()
        await client.ask()
        await link.remove(toxic)
        how, _ = await client.ending(0.3)
        await client.close()
        return how


async def verdict_on_a_connection_while_neighbours_change(server: Server, _: Path) -> str:
    """One connection, toxicity one half, twelve edits beside it: does it stay hit, or not hit?"""
    async with serving() as peer:
        link = server.link(peer.port)
        await link.add("latency", toxicity=0.5, latency=60)
        client = await link.open()
        seen = set()
        for _ in range(12):
            seen.add((await client.ask())[1] >= 0.06)
            await link.remove(await link.add("noop"))
        await client.close()
        return "stays" if len(seen) == 1 else "changes"


async def connections_hit_with_the_same_seed(server: Server, folder: Path) -> str:
    flag = ["--seed", "7"] if server.kind == OURS else ["-seed", "7"]
    runs = []
    for _ in range(2):
        with running(server.kind, folder, *flag) as another:
            runs.append(await hit(another))
    return "the same" if runs[0] == runs[1] else "others"


async def bytes_counted_while_the_connection_is_open(server: Server, _: Path) -> int:
    async with serving() as peer:
        link = server.link(peer.port)
        client = await link.open()
        await client.ask(b"x" * 100)
        if server.kind == OURS:
            count = server.ask("GET", "/lab/traffic").body[link.name]["bytes"]
        else:
            text = server.ask("GET", "/metrics").body
            counts = re.findall(r"^toxiproxy_proxy_sent_bytes_total{.*} (\S+)$", text, re.MULTILINE)
            count = int(sum(map(float, counts)))
        await client.close()
        return count


async def server_given_a_negative_rate(server: Server, _: Path) -> str:
    return await after_traffic(server, "bandwidth", rate=-1)


async def server_given_slices_of_no_size(server: Server, _: Path) -> str:
    return await after_traffic(server, "slicer", average_size=0)


async def keys_of_a_proxy(server: Server, _: Path) -> set[str]:
    return set(server.ask("GET", f"/proxies/{server.link(1).name}").body)


async def content_type_of_an_error(server: Server, _: Path) -> str | None:
    host, port = server.url.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=2)
    with contextlib.closing(connection):
        connection.request("GET", "/proxies/nobody")
        return connection.getresponse().getheader("content-type")


FIELDS = {"name", "listen", "upstream", "enabled", "toxics"}
DIFFERENCES = [
    Difference(
        toxic_added_while_the_server_does_not_read,
        "not answered",
        "answered",
        "faults must come off also when a service is paused under load",
    ),
    Difference(
        disabled_while_the_server_drops_connection_attempts,
        "not answered",
        "answered",
        "one dead host must not keep the other clients, or the lab, waiting",
    ),
    Difference(
        reply_after_the_client_has_said_that_it_is_done,
        b"",
        b"bye",
        "TCP has half-closed connections; without toxics a proxy should not show",
    ),
    Difference(
        reset_of_a_connection_that_was_open_before,
        "eof",
        "reset",
        "a reset is a reset also on pooled connections",
    ),
    Difference(
        end_of_a_connection_that_reset_peer_did_not_hit,
        ["reset"],
        ["eof"],
        "what a toxic does not hit it should leave alone",
    ),
    Difference(
        connection_that_a_removed_timeout_never_touched,
        "eof",
        "open",
        "what a toxic does not hit it should leave alone",
    ),
    Difference(
        verdict_on_a_connection_while_neighbours_change,
        "changes",
        "stays",
        "a connection is hit or not for as long as the toxic is there",
    ),
    Difference(
        connections_hit_with_the_same_seed,
        "others",
        "the same",
        "a run must be repeatable",
    ),
    Difference(
        bytes_counted_while_the_connection_is_open,
        0,
        200,
        "pooled connections stay open for a whole run",
        ("-proxy-metrics",),
    ),
    Difference(
        server_given_a_negative_rate,
        "dead",
        "alive",
        "nothing that the API takes may end the proxy",
    ),
    Difference(
        server_given_slices_of_no_size,
        "dead",
        "alive",
        "nothing that the API takes may end the proxy",
    ),
    Difference(
        keys_of_a_proxy,
        {*FIELDS, "Logger"},
        FIELDS,
        "`Logger` is always {} and an oversight",
    ),
    Difference(
        content_type_of_an_error,
        "text/plain; charset=utf-8",
        "application/json",
        "the body is JSON",
    ),
]


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda d: d.see.__name__)
async def test_differences(difference: Difference, kind: str, tmp_path_factory):
    """Each on a server of its own, as some of them are the end of a real one."""
    folder = tmp_path_factory.getbasetemp()
    arguments = difference.arguments if kind == REAL else ()
    with running(kind, folder, *arguments) as server:
        wanted = difference.embedded if kind == OURS else difference.toxiproxy
        assert await difference.see(server, folder) == wanted, difference.why


def test_the_reference_names_every_difference():
    """A difference that is only here would surprise people."""
    named = set(re.findall(r"`(\w+)`", REFERENCE.read_text()))
    assert {difference.see.__name__ for difference in DIFFERENCES} <= named


async def answered(server: Server, method: str, path: str, body: object) -> str:
    """Whether an API call is answered soon."""
    try:
        answer = await asyncio.to_thread(server.ask, method, path, body, AT_ONCE_S)
    except OSError:
        return "not answered"
    assert answer.status == 200
    return "answered"


async def after_traffic(server: Server, kind: str, **attributes: int) -> str:
    """Whether the server is alive after some bytes went through that toxic."""
    async with serving() as peer:
        link = server.link(peer.port)
        await link.add(kind, **attributes)
        client = await link.open()
        with contextlib.suppress(OSError):
            await client.ask(b"x" * 200, timeout_s=0.3)
        await client.close()
    until_s = time.monotonic() + (5.0 if server.kind == REAL else 0.1)
    while server.process.poll() is None and time.monotonic() < until_s:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    return "alive" if server.process.poll() is None else "dead"


async def hit(server: Server) -> list[bool]:
    """Which of forty connections a toxicity of one half hits."""

    async def one(link: Link) -> bool:
        client = await link.open()
        got = await client.ask()
        await client.close()
        return not got[0]

    async with serving() as peer:
        link = server.link(peer.port)
        await link.add("limit_data", toxicity=0.5, bytes=0)
        return [await one(link) for _ in range(40)]


async def stalled(writer: asyncio.StreamWriter) -> None:
    """Wait until the kernel takes no more of what is to be sent."""
    before = -1
    while (now := writer.transport.get_write_buffer_size()) != before:
        before = now
        await asyncio.sleep(0.3)
    assert before > 0


@contextlib.contextmanager
def deaf() -> Iterator[int]:
    """A port whose connections are established by the kernel, and nobody reads."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        yield found.getsockname()[1]


@contextlib.contextmanager
def dropping() -> Iterator[int]:
    """A port whose accept queue is full, so that the kernel drops attempts to connect."""
    with contextlib.ExitStack() as stack:
        found = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=1))
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.settimeout(0)
            filler.connect_ex(found.getsockname())
        yield found.getsockname()[1]
