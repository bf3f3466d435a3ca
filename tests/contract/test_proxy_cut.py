"""What the lab's proxy can do beyond Toxiproxy: cut a link as a switch would, count, and probe."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time

import pytest
import pytest_asyncio

from lab.errors import EngineError
from lab.proxies import ProxySpec, Toxic, greetings
from lab.proxies.embedded.control import EmbeddedProxies
from tests.contract.proxy_servers import (
    EARLY_S,
    LATE_S,
    OURS,
    Client,
    Link,
    Server,
    free_port,
    running,
    serving,
)

ONLY_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the backlog trick is Linux's")
WAYS = [pytest.param("backlog", marks=ONLY_LINUX), "accept"]


@pytest.fixture(scope="module", params=WAYS)
def server(request, tmp_path_factory):
    with running(OURS, tmp_path_factory.getbasetemp(), "--cut-by", request.param) as found:
        found.way = request.param
        yield found


@pytest_asyncio.fixture
async def proxies(server):
    found = EmbeddedProxies(server.url)
    yield found
    found.close()


def mended(seconds: float) -> bool:
    """A connection attempt gets through when it is sent again: 1 s and 3 s after the first."""
    return seconds < 2.2 + LATE_S


async def test_an_open_connection_stalls_and_goes_on(server: Server, proxies: EmbeddedProxies):
    """Bytes of both directions are kept, in order, and the connection is the same."""
    async with serving() as peer:
        link = server.link(peer.port)
        client = await link.open()
        await client.ask()
        for _ in range(2):
            await proxies.cut([link.name])
        assert list(await proxies.cuts()) == [link.name]
        for n in range(5):
            client.send(b"%d" % n)
        assert await client.read(1, 0.3) == b""
        for _ in range(2):
            await proxies.mend([link.name])
        assert await proxies.cuts() == {}
        assert await client.read(5) == b"01234"
        assert peer.opened == 1
        await client.close()


async def test_the_server_s_bytes_and_its_end_are_held_too(
    server: Server, proxies: EmbeddedProxies
):
    speak, spoken = asyncio.Event(), asyncio.Event()

    async def last_words(reader, writer):
        await speak.wait()
        writer.write(b"bye")
        writer.close()
        spoken.set()

    async with serving(last_words) as peer:
        link = server.link(peer.port)
        client = await link.open()
        await asyncio.sleep(0.05)
        await proxies.cut([link.name])
        speak.set()
        await spoken.wait()
        assert await client.read(1, 0.2) == b""
        assert (await client.ending(0.1))[0] == "open"
        await proxies.mend([link.name])
        assert await client.read(4) == b"bye"
        await client.close()


async def test_a_full_line_stalls_in_the_middle_and_loses_nothing(
    server: Server, proxies: EmbeddedProxies
):
    data = bytes(range(256)) * 40_000
    async with serving() as peer:
        link = server.link(peer.port)
        client = await link.open()
        client.send(data)
        got = await client.read(1_000_000)
        await proxies.cut([link.name])
        # What the kernel had taken before still arrives, but no more than that.
        got += await client.read(len(data), 0.3)
        assert len(got) < len(data)
        assert await client.read(1, 0.2) == b""
        await proxies.mend([link.name])
        assert got + await client.read(len(data) - len(got)) == data
        await client.close()


async def test_new_connections_hang_and_then_get_through(server: Server, proxies: EmbeddedProxies):
    async with serving() as peer:
        link = server.link(peer.port)
        await proxies.cut([link.name])
        tries = [asyncio.ensure_future(link.open()) for _ in range(50)]
        await asyncio.sleep(0.3)
        connected = sum(attempt.done() for attempt in tries)
        assert connected == (0 if server.way == "backlog" else 50)
        assert peer.opened == 0
        await proxies.mend([link.name])
        began_s = time.monotonic()
        clients = await asyncio.gather(*tries)
        answers = await asyncio.gather(*(c.ask(b"%d" % n) for n, c in enumerate(clients)))
        assert mended(time.monotonic() - began_s)
        assert [got for got, _ in answers] == [b"%d" % n for n in range(50)]
        assert peer.opened == 50
        for client in clients:
            await client.close()


async def test_a_cut_in_a_storm_of_connections_lets_none_through_twice(
    server: Server, proxies: EmbeddedProxies
):
    """Cut and mended again and again while clients come: each gets its own answer, none is lost."""
    async with serving() as peer:
        link = server.link(peer.port)
        over = False
        answered: list[bool] = []

        async def come(n: int) -> None:
            while not over:
                client = await link.open()
                got, _ = await client.ask(b"%d" % n, 10)
                answered.append(got == b"%d" % n)
                await client.close()

        tasks = [asyncio.create_task(come(n)) for n in range(20)]
        for _ in range(4):
            await asyncio.sleep(0.05)
            await proxies.cut([link.name])
            await asyncio.sleep(0.05)  # what was on its way has arrived
            quiet = len(answered)
            await asyncio.sleep(0.1)
            assert len(answered) == quiet
            await proxies.mend([link.name])
        over = True
        async with asyncio.timeout(10):
            await asyncio.gather(*tasks)
        assert len(answered) >= 20
        assert all(answered)


async def test_a_probe_of_a_cut_link_is_silent(server: Server, proxies: EmbeddedProxies):
    async with serving() as peer:
        link = server.link(peer.port)
        await proxies.cut([link.name])
        probe = await proxies.probe(link.name, 0.2)
        assert probe.outcome == "silent"
        assert (probe.connect_s is None) == (server.way == "backlog")
        assert 0.2 - EARLY_S <= probe.seconds < 0.2 + LATE_S
        await proxies.mend([link.name])
        assert (await proxies.probe(link.name, 1.0)).outcome == "answered"


async def test_latency_on_a_cut_link(server: Server, proxies: EmbeddedProxies):
    """Added while it is cut, and removed after: what was under way is neither lost nor doubled."""
    async with serving() as peer:
        link = server.link(peer.port)
        client = await link.open()
        late = Toxic("late", "latency", "downstream", {"latency": 200})
        await proxies.add(link.name, late)
        client.send(b"one")
        await asyncio.sleep(0.05)
        await proxies.cut([link.name])
        client.send(b"two")
        assert await client.read(1, 0.4) == b""
        await proxies.mend([link.name])
        assert await client.read(6) == b"onetwo"
        await proxies.cut([link.name])
        client.send(b"three")
        await proxies.remove(link.name, "late")
        assert await client.read(1, 0.2) == b""
        await proxies.mend([link.name])
        assert await client.read(5) == b"three"
        await client.close()


async def test_a_reset_or_a_timeout_waits_for_the_end_of_the_cut(
    server: Server, proxies: EmbeddedProxies
):
    async with serving() as peer:
        link = server.link(peer.port)
        await proxies.add(link.name, Toxic("r", "reset_peer", "upstream", {"timeout": 100}))
        client = await link.open()
        client.send(b"x")
        await asyncio.sleep(0.03)
        await proxies.cut([link.name])
        assert (await client.ending(0.4))[0] == "open"
        await proxies.mend([link.name])
        assert (await client.ending())[0] == "reset"
        await client.close()


async def test_disabled_while_cut_shows_only_when_mended(server: Server, proxies: EmbeddedProxies):
    """The server loses the connection at once, the client hears nothing until packets pass."""
    async with serving() as peer:
        link = server.link(peer.port)
        client = await link.open()
        await client.ask()
        await proxies.cut([link.name])
        await proxies.set_enabled(link.name, enabled=False)
        assert (await client.ending(0.2))[0] == "open"
        assert len(peer.ended) == 1
        assert (await proxies.probe(link.name, 0.2)).outcome == "silent"
        await proxies.mend([link.name])
        assert (await client.ending())[0] in {"eof", "reset"}
        assert (await proxies.probe(link.name, 0.2)).outcome == "refused"
        await proxies.cut([link.name])
        assert (await proxies.probe(link.name, 0.2)).outcome == "silent"
        await proxies.set_enabled(link.name, enabled=True)
        await proxies.mend([link.name])
        assert (await proxies.probe(link.name, 1.0)).outcome == "answered"
        await client.close()


async def test_deleted_while_cut_loses_what_was_held_and_leaves_nothing(
    server: Server, proxies: EmbeddedProxies
):
    async with serving() as peer:
        link = server.link(peer.port)
        client = await link.open()
        await client.ask()
        await proxies.cut([link.name])
        client.send(b"lost")
        attempt = asyncio.ensure_future(link.open())
        await asyncio.sleep(0.05)
        assert server.ask("DELETE", f"/proxies/{link.name}").status == 204
        assert await client.read(1) == b""
        assert await proxies.cuts() == {}
        with contextlib.suppress(OSError):
            await (await attempt).close()
        with pytest.raises(ConnectionRefusedError):
            await link.open()
        await proxies.create([ProxySpec(link.name, f"127.0.0.1:{link.port}", "127.0.0.1:1")])
        await client.close()


async def test_other_links_do_not_notice(server: Server, proxies: EmbeddedProxies):
    async with serving() as peer:
        links = [server.link(peer.port) for _ in range(3)]
        clients = [await link.open() for link in links]
        await proxies.cut([links[0].name, links[1].name])
        assert [(await c.ask(timeout_s=0.2))[0] for c in clients] == [b"", b"", b"hello"]
        await proxies.mend([link.name for link in links])
        assert [await c.read(5) for c in clients[:2]] == [b"hello", b"hello"]
        for client in clients:
            await client.close()


async def test_cutting_what_is_not_there_cuts_nothing(server: Server, proxies: EmbeddedProxies):
    link = server.link(1)
    with pytest.raises(EngineError, match="proxy not found"):
        await proxies.cut([link.name, "nobody"])
    assert await proxies.cuts() == {}


async def test_traffic_counts_both_ways_and_no_probes(server: Server, proxies: EmbeddedProxies):
    async with serving() as peer:
        link = server.link(peer.port)
        await proxies.probe(link.name, 1.0)
        assert (await proxies.traffic())[link.name] == (0, 0)
        client = await link.open()
        await client.ask(b"x" * 100)
        assert (await proxies.traffic())[link.name] == (2, 200)
        await client.close()


async def test_every_outcome_of_a_probe(server: Server, proxies: EmbeddedProxies):
    async def silent(reader, writer):
        await reader.read()

    async def closes(reader, writer):
        await reader.read(1000)
        writer.close()

    outcomes = {}
    async with serving() as echo, serving(silent) as mute, serving(closes) as rude:
        for wanted, port in (("answered", echo.port), ("silent", mute.port), ("closed", rude.port)):
            link = server.link(port)
            outcomes[wanted] = (await proxies.probe(link.name, 0.3)).outcome
        reset = server.link(echo.port)
        await reset.add("reset_peer", "upstream", timeout=0)
        outcomes["reset"] = (await proxies.probe(reset.name, 0.3)).outcome
        await reset.enable(False)
        outcomes["refused"] = (await proxies.probe(reset.name, 0.3)).outcome
        late = server.link(echo.port)
        await late.add("latency", latency=150)
        seconds = (await proxies.probe(late.name, 1.0)).seconds
    assert outcomes == {outcome: outcome for outcome in outcomes}
    assert 0.15 - EARLY_S <= seconds < 0.15 + LATE_S


@pytest.mark.parametrize("port", [5432, 6379, 8000])
async def test_what_a_probe_says_depends_on_the_port(
    server: Server, proxies: EmbeddedProxies, port: int
):
    said: list[bytes] = []

    async def listen(reader, writer):
        said.append(await reader.read(1000))
        writer.write(b"x")
        writer.close()

    async with serving(listen) as peer:
        assert (await proxies.probe(server.link(peer.port).name, 1.0, port)).outcome == "answered"
    assert said == [greetings.greeting(port)]


async def test_it_ends_with_its_owner(tmp_path):
    with running(OURS, tmp_path) as server:
        assert server.process.stdin
        server.process.stdin.close()
        assert await asyncio.to_thread(server.process.wait, 5) == 0


async def test_a_peer_that_never_reads_holds_up_nobody(server: Server, proxies: EmbeddedProxies):
    """Every call on such a link is answered: add, change, cut, mend, disable, remove."""

    async def never(reader, writer):
        reader._transport.pause_reading()
        await asyncio.Event().wait()

    async with serving(never) as peer:
        link = Link(server, f"full-{free_port()}", free_port())
        spec = ProxySpec(link.name, f"127.0.0.1:{link.port}", f"127.0.0.1:{peer.port}")
        await proxies.create([spec])
        client: Client = await link.open()
        client.send(b"x" * (32 << 20))
        await asyncio.sleep(0.3)
        began_s = time.monotonic()
        late = Toxic("late", "latency", "upstream", {"latency": 5})
        await proxies.add(link.name, late)
        await proxies.add(link.name, Toxic("late", "latency", "upstream", {"latency": 50}))
        await proxies.cut([link.name])
        await proxies.mend([link.name])
        await proxies.remove(link.name, "late")
        await proxies.set_enabled(link.name, enabled=False)
        assert time.monotonic() - began_s < 1.0
        await client.close()
