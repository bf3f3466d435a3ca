"""The lab's own proxy cuts one stream of a link and leaves the other."""

from __future__ import annotations

import asyncio

import pytest
import pytest_asyncio

from lab.errors import EngineError
from lab.proxies import ProxySpec, Stream
from lab.proxies.embedded.control import EmbeddedProxies
from tests.contract.proxy_servers import OURS, Server, running, serving
from tests.contract.test_proxy_cut import WAYS

LOOK_S = 0.3
BOTH = frozenset({"upstream", "downstream"})


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


class Telling:
    """A server that says something when it is told to, and keeps what it hears."""

    def __init__(self) -> None:
        self.heard = b""
        self.hears = asyncio.Event()
        self.say: asyncio.Queue[bytes] = asyncio.Queue()

    async def serve(self, reader, writer):
        async def speak():
            while data := await self.say.get():
                writer.write(data)
            writer.close()

        speaking = asyncio.create_task(speak())
        while data := await reader.read(1000):
            self.heard += data
            self.hears.set()
        await speaking

    async def hears_within(self, seconds: float) -> bytes:
        """What it hears by then, at the latest."""
        try:
            async with asyncio.timeout(seconds):
                await self.hears.wait()
        except TimeoutError:
            pass
        self.hears.clear()
        return self.heard


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
async def test_bytes_of_one_stream_are_held_those_of_the_other_arrive(
    server: Server, proxies: EmbeddedProxies, stream: Stream
):
    """On a connection that is there; what was held arrives when it is mended, in order."""
    told = Telling()
    async with serving(told.serve) as peer:
        link = server.link(peer.port)
        client = await link.open()
        client.send(b"1")
        assert await told.hears_within(2) == b"1"
        await proxies.cut([link.name], stream)
        assert list(await proxies.cuts()) == [link.name]
        assert await proxies.passing(link.name, LOOK_S) == BOTH - {stream}
        client.send(b"2")
        told.say.put_nowait(b"a")
        if stream == "upstream":
            assert await client.read(1) == b"a"
            assert await told.hears_within(LOOK_S) == b"1"
        else:
            assert await told.hears_within(2) == b"12"
            assert await client.read(1, LOOK_S) == b""
        await proxies.mend([link.name], stream)
        assert await proxies.passing(link.name, LOOK_S) == BOTH
        assert await proxies.cuts() == {}
        if stream == "upstream":
            assert await told.hears_within(2) == b"12"
        else:
            assert await client.read(1) == b"a"
        told.say.put_nowait(b"")
        await client.close()


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
async def test_new_connections_hang_whichever_stream_is_cut(
    server: Server, proxies: EmbeddedProxies, stream: Stream
):
    """A handshake needs both."""
    async with serving() as peer:
        link = server.link(peer.port)
        await proxies.cut([link.name], stream)
        probe = await proxies.probe(link.name, LOOK_S)
        assert probe.outcome == "silent"
        assert (probe.connect_s is None) == (server.way == "backlog")
        assert peer.opened == 0
        await proxies.mend([link.name], stream)
        assert (await proxies.probe(link.name, 1.0)).outcome == "answered"


async def test_streams_are_cut_and_mended_apart(server: Server, proxies: EmbeddedProxies):
    """The link is whole when the last of them is mended, in whatever order."""
    async with serving() as peer:
        link = server.link(peer.port)
        await proxies.cut([link.name], "downstream")
        await proxies.cut([link.name])
        assert await proxies.passing(link.name, LOOK_S) == frozenset()
        await proxies.mend([link.name], "upstream")
        await proxies.mend([link.name], "upstream")
        assert await proxies.passing(link.name, LOOK_S) == {"upstream"}
        assert (await proxies.probe(link.name, LOOK_S)).outcome == "silent"
        await proxies.mend([link.name])
        assert await proxies.passing(link.name, LOOK_S) == BOTH
        assert (await proxies.probe(link.name, 1.0)).outcome == "answered"


@pytest.mark.parametrize(
    ("stream", "told"), [("upstream", {"eof", "reset"}), ("downstream", {"open"})]
)
async def test_a_client_hears_of_the_end_unless_it_hears_nothing(
    server: Server, proxies: EmbeddedProxies, stream: Stream, told: set[str]
):
    """Disabled while one stream is cut: the end comes to the client by the other."""
    async with serving() as peer:
        link = server.link(peer.port)
        client = await link.open()
        await client.ask()
        await proxies.cut([link.name], stream)
        await proxies.set_enabled(link.name, enabled=False)
        assert (await client.ending(LOOK_S))[0] in told
        assert (await proxies.probe(link.name, LOOK_S)).outcome == "silent"
        await proxies.mend([link.name], stream)
        assert (await client.ending())[0] in {"eof", "reset"}
        assert (await proxies.probe(link.name, LOOK_S)).outcome == "refused"
        await client.close()


async def test_toxics_do_not_disturb_the_look(server: Server, proxies: EmbeddedProxies):
    """What passes is about packets; a toxic is about bytes, and seen by probes."""
    async with serving() as peer:
        link = server.link(peer.port)
        await link.add("timeout", timeout=0)
        assert (await proxies.probe(link.name, LOOK_S)).outcome == "silent"
        assert await proxies.passing(link.name, LOOK_S) == BOTH


async def test_a_proxy_deleted_while_somebody_looks(server: Server, proxies: EmbeddedProxies):
    """The look ends, and the proxy can be made again."""
    async with serving() as peer:
        link = server.link(peer.port)
        await proxies.cut([link.name])
        look = asyncio.create_task(proxies.passing(link.name, LOOK_S))
        await asyncio.sleep(LOOK_S / 3)
        await asyncio.to_thread(server.ask, "DELETE", f"/proxies/{link.name}")
        assert await look == frozenset()
        spec = ProxySpec(link.name, f"127.0.0.1:{link.port}", f"127.0.0.1:{peer.port}")
        await proxies.create([spec])
        assert await proxies.passing(link.name, LOOK_S) == BOTH


async def test_a_stream_that_is_none_is_refused(server: Server, proxies: EmbeddedProxies):
    link = server.link(1)
    with pytest.raises(EngineError, match="stream was invalid"):
        await proxies.cut([link.name], "sideways")  # type: ignore[arg-type]
    assert await proxies.cuts() == {}
