"""The control of a real Toxiproxy: what the library lacks, and chains whose peer does not read."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from lab.errors import EngineError
from lab.proxies import ProxySpec, Toxic
from lab.proxies.toxiproxy import DEADLINE_S, ToxiproxyClient
from tests.contract import tiny
from tests.contract.engines import Tiny
from tests.integration.docker_support import up

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tiny]:
    """One cluster for all tests of this file."""
    async with up(tiny.deployment(), tmp_path_factory.mktemp("run")) as found:
        yield found


def latency(delay_ms: int) -> Toxic:
    """A toxic that delays answers."""
    return Toxic("late", "latency", "downstream", {"latency": delay_ms, "jitter": 0})


async def test_adding_again_changes_the_toxic_and_keeps_the_connection(lab: Tiny) -> None:
    """An update in place: the connection that was open before is slow, then quick, and the same."""
    proxies, proxy = lab.cluster.proxies, lab.end("store").proxy
    await lab.ask("/keep/store")
    await proxies.add(proxy, latency(300))
    assert (await lab.ask("/keep/store"))["ms"] >= 300
    await proxies.add(proxy, latency(10))
    assert 10 <= (await lab.ask("/keep/store"))["ms"] < 200
    assert await proxies.toxics() == {proxy: [latency(10)]}
    await proxies.remove(proxy, "late")
    await proxies.remove(proxy, "late")
    assert await proxies.toxics() == {}


async def test_a_toxic_of_the_same_name_and_another_kind_takes_its_place(lab: Tiny) -> None:
    """Names are unique over both directions, kinds cannot be changed: so it is replaced."""
    proxies, proxy = lab.cluster.proxies, lab.end("store").proxy
    await proxies.add(proxy, latency(10))
    other = Toxic("late", "bandwidth", "upstream", {"rate": 1000}, 0.5)
    await proxies.add(proxy, other)
    assert await proxies.toxics() == {proxy: [other]}
    await proxies.remove(proxy, "late")


async def test_a_disabled_proxy_is_listed_and_refuses(lab: Tiny) -> None:
    """And accepts again when enabled."""
    proxies, end = lab.cluster.proxies, lab.end("store")
    await proxies.set_enabled(end.proxy, enabled=False)
    assert await proxies.disabled() == [end.proxy]
    assert (await lab.cluster.probe(end)).outcome == "refused"
    await proxies.set_enabled(end.proxy, enabled=True)
    assert await proxies.disabled() == []
    assert (await lab.cluster.probe(end)).outcome == "answered"


@pytest.mark.parametrize("toxic", [latency(5), Toxic("late", "nonsense", "downstream")])
async def test_refusals_of_every_status_are_errors(lab: Tiny, toxic: Toxic) -> None:
    """An unknown proxy (404) and an unknown kind (400)."""
    proxy = "nobody" if toxic.kind == "latency" else lab.end("store").proxy
    with pytest.raises(EngineError, match="Toxiproxy"):
        await lab.cluster.proxies.add(proxy, toxic)


async def test_a_proxy_that_cannot_listen_is_an_error(lab: Tiny) -> None:
    """Its address is taken: status 500, which the library would take for success."""
    spec = ProxySpec("double", f"{lab.cluster.layout.links[lab.end('store').name]}:9000", "x:1")
    with pytest.raises(EngineError, match="address already in use"):
        await lab.cluster.proxies.create([spec])


async def test_two_servers_are_not_mixed_up_and_silence_has_a_deadline(lab: Tiny) -> None:
    """The library has one address per process; here each client has its own."""

    async def never_answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(never_answers, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    mute = ToxiproxyClient(f"http://127.0.0.1:{port}", deadline_s=0.3)
    gone = ToxiproxyClient("http://127.0.0.1:1")
    began_s = time.monotonic()
    answers = await asyncio.gather(
        mute.version(), lab.cluster.proxies.version(), gone.version(), return_exceptions=True
    )
    assert time.monotonic() - began_s < 2
    assert isinstance(answers[0], EngineError)
    assert "no answer within 0.3 s" in str(answers[0])
    assert answers[1] == "2.12.0"
    assert isinstance(answers[2], EngineError)
    server.close()
    mute.close()
    gone.close()


async def test_a_toxic_comes_off_although_a_peer_does_not_read(lab: Tiny) -> None:
    """A paused server under load blocks the chain, and an edit would then hang Toxiproxy.

    So the connections are closed before the edit; other links never notice.
    """
    proxies, end = lab.cluster.proxies, lab.end("store")
    await proxies.add(end.proxy, Toxic("late", "latency", "upstream", {"latency": 5}))
    await lab.cluster.http(lab.app, "GET", "/flood/store")
    await lab.cluster.pause(lab.store)
    await _until_stalled(lab)
    began_s = time.monotonic()
    await proxies.remove(end.proxy, "late")
    assert time.monotonic() - began_s < 2
    assert await proxies.toxics() == {}
    assert (await lab.ask("/new/cache"))["text"] == "cache"
    await lab.cluster.resume(lab.store)
    assert (await lab.ask("/new/store"))["text"] == "store"
    assert await lab.cluster.residue() == []


async def test_a_server_that_hangs_is_replaced_and_everything_that_was_ordered_is_there(
    lab: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer stops reading between the look and the edit: Toxiproxy 2.12 then hangs for good.

    The new server has the other link's toxic and the disabled link; the old toxic is gone, and the
    run hears of it, because every connection of every link broke.
    """
    proxies, store, cache = lab.cluster.proxies, lab.end("store"), lab.end("cache")
    other = latency(150)
    deaths = asyncio.ensure_future(anext(lab.cluster.deaths()))
    await proxies.add(store.proxy, Toxic("late", "latency", "upstream", {"latency": 5}))
    await proxies.add(cache.proxy, other)
    await lab.cluster.http(lab.app, "GET", "/flood/store")
    await lab.cluster.pause(lab.store)
    await _until_stalled(lab)
    monkeypatch.setattr(proxies, "_stalled", None)
    try:
        began_s = time.monotonic()
        await proxies.remove(store.proxy, "late")
        took_s = time.monotonic() - began_s
        monkeypatch.undo()
        assert DEADLINE_S <= took_s < DEADLINE_S + 4, "it did not hang, so nothing was shown"
        assert await proxies.toxics() == {cache.proxy: [other]}
        assert 150 <= (await lab.ask("/new/cache"))["ms"] < 400
    finally:
        monkeypatch.undo()
        await lab.cluster.resume(lab.store)
        await proxies.remove(cache.proxy, "late")
    name, why = await asyncio.wait_for(deaths, 5)
    assert name == "lab/toxiproxy"
    assert why.startswith("removing late")
    assert (await lab.ask("/new/store"))["text"] == "store"
    assert await lab.cluster.residue() == []


async def test_a_server_whose_packets_are_lost_holds_up_its_link_for_seconds_only(
    lab: Tiny,
) -> None:
    """The proxy dials inside its accept loop: with the kernel's six tries, that would be 127 s."""
    end, address = lab.end("store"), lab.address(lab.store.name)
    rule = f"OUTPUT -d {address} -p tcp --syn -j DROP"
    await _in_network_of_proxy(lab, f"iptables -I {rule}")
    try:
        began_s = time.monotonic()
        assert (await lab.cluster.probe(end, 10.0)).outcome in ("closed", "reset")
        assert time.monotonic() - began_s < 6
        asked = asyncio.create_task(lab.cluster.probe(end, 10.0))
        await asyncio.sleep(0.2)
        await lab.cluster.proxies.set_enabled(end.proxy, enabled=False, why="a test")
        await asked
    finally:
        await _in_network_of_proxy(lab, f"iptables -D {rule}")
        await lab.cluster.proxies.set_enabled(end.proxy, enabled=True, why="a test")
    assert (await lab.cluster.probe(end)).outcome == "answered"
    assert await lab.cluster.residue() == []


async def test_an_edit_of_a_link_that_is_only_busy_closes_nothing(lab: Tiny) -> None:
    """Caution must not turn every toxic into a broken connection."""
    proxies, end = lab.cluster.proxies, lab.end("store")
    await lab.ask("/keep/store")
    await lab.cluster.http(lab.app, "GET", "/flood/store")
    await proxies.add(end.proxy, latency(50))
    kept = await lab.ask("/keep/store")
    await proxies.remove(end.proxy, "late")
    assert kept.get("text") == "store", json.dumps(kept)
    assert kept["ms"] >= 50


async def _until_stalled(lab: Tiny) -> None:
    end = lab.end("store")
    link = f"{lab.cluster.layout.links[end.name]}:9000"
    upstream = f"{lab.cluster.layout.containers[lab.store.name]}:9000"
    async with asyncio.timeout(30):
        while not await lab.order("stalled", link=link, upstream=upstream):  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def _in_network_of_proxy(lab: Tiny, command: str) -> None:
    """Run a command with rights to the network that proxy and agent share."""
    network = lab.cluster._handles.containers["lab/network"]
    image = lab.cluster._daemon.api.inspect_container(network)["Image"]
    await asyncio.to_thread(
        lab.cluster._daemon.client.containers.run,
        image,
        command,
        network_mode=f"container:{network}",
        cap_add=["NET_ADMIN"],
        remove=True,
    )
