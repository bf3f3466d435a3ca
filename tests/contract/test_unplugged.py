"""A service without its network, closely: nothing passes, whoever it is from, but what looks on."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from lab.faults import KINDS, Fault
from lab.plan import Deployment, Instance, deploy_topology
from lab.topology import Link, Scrape, Service, Topology
from tests.contract import tiny
from tests.contract.engines import up_on

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.docker]

# GET /tcp/HOST and /udp/HOST: whether an echo comes back from HOST, or the error of the own call.
NODE = """
import json, socket, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
def echo():
    bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    bound.bind(('', 9001))
    while True:
        data, peer = bound.recvfrom(64)
        try:
            bound.sendto(data, peer)
        except OSError:
            pass
def tcp(host):
    with socket.create_connection((host, 9000), timeout=0.5) as peer:
        peer.sendall(b'GET /healthz HTTP/1.0\\r\\n\\r\\n')
        return bool(peer.recv(64))
def udp(host):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.settimeout(0.5)
        sender.sendto(b'lab', (host, 9001))
        return sender.recv(64) == b'lab'
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        how, _, host = self.path.strip('/').partition('/')
        try:
            answer = {'healthz': bool, 'metrics': bool, 'tcp': tcp, 'udp': udp}[how](host)
        except OSError as error:
            answer = type(error).__name__
        data = json.dumps(answer).encode() if how != 'metrics' else b'up_and_running 1\\n'
        self.send_response(200)
        self.send_header('Content-Length', str(len(data)))
        self.end_headers()
        self.wfile.write(data)
    def log_message(self, *_):
        pass
threading.Thread(target=echo, daemon=True).start()
ThreadingHTTPServer(('', 9000), Handler).serve_forever()
"""


def _deployment() -> Deployment:
    """`one`, linked to `two`; `three`, which has no link to either; all talk to each other."""
    services = {
        name: Service(
            name,
            image=tiny.IMAGE,
            command=("python", "-c", NODE),
            healthcheck=tiny.check("http://127.0.0.1:9000/healthz"),
            scrape=Scrape(9000),
        )
        for name in ("one", "two", "three")
    }
    links = (Link("one", "two", 9000),)
    return deploy_topology(Topology("tiny", services, links, Link("client", "one", 9000)))


APART = (("three-1", "two-1"), ("two-1", "three-1"))


class Nodes:
    """The three of them."""

    def __init__(self, cluster: Any) -> None:
        self.cluster = cluster
        self.one, self.two, self.three = (
            cluster.deployment.instance(f"tiny/{name}-1") for name in ("one", "two", "three")
        )

    async def says(self, node: Instance, how: str, of: Instance) -> Any:
        """What a node says of another one, at its real address; asked as the lab asks."""
        path = f"/{how}/{self.cluster.layout.containers[of.name]}"
        status, body = await self.cluster.http(node, "GET", path)
        assert status == 200
        return json.loads(body)

    async def hear(self) -> dict[str, Any]:
        """Who hears whom, by TCP and UDP, without any link."""
        pairs = [(self.three, self.two), (self.two, self.three), (self.three, self.one)]
        asked = [(a, how, b) for a, b in pairs for how in ("tcp", "udp")]
        answers = await asyncio.gather(*(self.says(*one) for one in asked))
        return {
            f"{a.host} {how} {b.host}": answer
            for (a, how, b), answer in zip(asked, answers, strict=True)
        }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Nodes]:
    """One cluster for all tests of this file."""
    async with up_on("docker", _deployment(), tmp_path_factory.mktemp("run")) as cluster:
        yield Nodes(cluster)


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def _clean(lab: Nodes) -> AsyncIterator[None]:
    """No test leaves a fault behind."""
    yield
    assert await lab.cluster.residue() == []


def unplug() -> Fault:
    """The second one is."""
    return KINDS["unplug"].model_validate({"service": "two"})


async def settled(lab: Nodes, fault: Fault, *, in_effect: bool) -> None:
    """Look until it is (not) in effect."""
    async with asyncio.timeout(10):
        while True:
            seen = await fault.observe(lab.cluster)
            if seen.in_effect if in_effect else seen.gone:
                return
            await asyncio.sleep(0.02)


async def test_nobody_hears_it_and_it_hears_nobody(lab: Nodes) -> None:
    """TCP and UDP, with a link or without: silence, as on a line, and no error of its own calls."""
    fault = unplug()
    (end,) = lab.cluster.deployment.ends_of("one -> two")
    everything = await lab.hear()
    assert set(everything.values()) == {True}
    await settled(lab, fault, in_effect=False)
    try:
        await fault.inject(lab.cluster)
        await fault.inject(lab.cluster)
        await settled(lab, fault, in_effect=True)
        assert await lab.hear() == {
            **{f"{a} {how} {b}": "TimeoutError" for a, b in APART for how in ("tcp", "udp")},
            "three-1 tcp one-1": True,
            "three-1 udp one-1": True,
        }
        assert (await lab.cluster.probe(end, 0.4)).outcome == "silent"
        assert not await lab.cluster.reaches(lab.two, 0.3)
        links, cable = await lab.cluster.residue()
        assert links == "tiny/one-1 -> two-1:9000: it is cut"
        assert cable.startswith("tiny/two-1: its network is unplugged (unplug-")
    finally:
        await fault.heal(lab.cluster)
        await fault.heal(lab.cluster)
    await settled(lab, fault, in_effect=False)
    assert await lab.hear() == everything
    assert (await lab.cluster.probe(end, 1.0)).outcome == "answered"


async def test_what_looks_on_is_spared(lab: Nodes) -> None:
    """Prometheus goes on scraping it: a dashboard shows what happens inside."""
    fault = unplug()
    await settled(lab, fault, in_effect=False)
    try:
        await fault.inject(lab.cluster)
        since_s = time.time()
        ups = await scraped(lab, since_s)
    finally:
        await fault.heal(lab.cluster)
    assert set(ups) == {1.0}


async def scraped(lab: Nodes, since_s: float) -> list[float]:
    """Whether scrapes of the second node came back, twice at least; the first may take long."""
    async with asyncio.timeout(15):
        while True:
            samples = await lab.cluster.samples(since_s, time.time(), ["up"])
            ups = [one.value for one in samples if one.instance == "tiny/two-1"]
            if len(ups) >= 2:
                return ups
            await asyncio.sleep(0.2)


async def test_the_cable_is_pulled_in_time(lab: Nodes) -> None:
    """Once it has been looked at: within the 20 ms that a fault may be late."""
    fault, took_s = unplug(), []
    await fault.observe(lab.cluster)
    for _ in range(5):
        began_s = time.monotonic()
        await fault.inject(lab.cluster)
        took_s.append(time.monotonic() - began_s)
        await fault.heal(lab.cluster)
    print([f"{s * 1000:.1f} ms" for s in took_s])
    assert min(took_s) < 0.020


async def test_two_pull_one_cable_and_each_puts_back_its_own(lab: Nodes) -> None:
    """It is back when the last one has."""
    first, second = unplug(), unplug()
    for one in (first, second):
        await one.inject(lab.cluster)
    try:
        await first.heal(lab.cluster)
        assert (await first.observe(lab.cluster)).gone
        assert (await second.observe(lab.cluster)).in_effect
    finally:
        await second.heal(lab.cluster)
    await settled(lab, second, in_effect=False)


async def test_a_service_that_starts_again_is_unplugged_again(lab: Nodes) -> None:
    """Its network is a new one, without rules; and healed, the next one stays as it is."""
    fault = unplug()
    try:
        await fault.inject(lab.cluster)
        await lab.cluster.kill(lab.two)
        await lab.cluster.start(lab.two)
        assert (await fault.observe(lab.cluster)).in_effect
        await lab.cluster.kill(lab.two)
        await fault.heal(lab.cluster)
        assert (await fault.observe(lab.cluster)).gone
    finally:
        await fault.heal(lab.cluster)
        await lab.cluster.start(lab.two)
    await settled(lab, fault, in_effect=False)
    assert await lab.says(lab.three, "tcp", lab.two) is True


async def test_an_agent_that_died_leaves_no_cable_pulled(lab: Nodes) -> None:
    """Its rules stay in the kernel; the agent after it finds them there."""
    fault = unplug()
    await fault.inject(lab.cluster)
    try:
        names = [n for n in lab.cluster._handles.containers if n.startswith("lab/cable-")]
        api = lab.cluster._daemon.api
        await lab.cluster._daemon.call(api.kill, lab.cluster._handles.containers[names[-1]])
        await settled(lab, fault, in_effect=True)
    finally:
        await fault.heal(lab.cluster)
    await settled(lab, fault, in_effect=False)
