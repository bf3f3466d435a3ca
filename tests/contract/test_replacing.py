"""New versions of services, behind a real HAProxy: who notices a deploy, and what it leaves."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import pytest_asyncio

from lab.engines import Cluster
from lab.engines.local.cluster import LocalCluster
from lab.errors import EngineError
from lab.faults import KINDS, Fault
from lab.faults.commands import run
from lab.plan import Deployment, deploy_topology
from lab.topology import File, Healthcheck, Link, Service, Topology
from tests.contract import tiny
from tests.contract.engines import ENGINES, Tiny, up, up_on
from tests.contract.test_faults import settled

# Answers after 0.2 s; asked to end, it takes 0.5 s for what it has begun; may be a bad version.
POLITE = tiny.SERVER.replace(
    "data = os.environ['NAME'].encode()",
    "time.sleep(0.2)\n        data = os.environ.get('VERSION', '1').encode()",
).replace(
    "import os, sys",
    """
import os, signal, sys, threading, time
signal.signal(signal.SIGTERM, lambda *_: threading.Timer(0.5, os._exit, (0,)).start())
if os.environ.get('VERSION') == 'bad':
    sys.exit('a bad version')
""",
)
BALANCER = """
global
    maxconn 1000
defaults
    mode http
    timeout connect 1s
    timeout client 10s
    timeout server 5s
    retries 2
    option redispatch 1
    option http-server-close
frontend entry
    bind :8000
    default_backend apps
backend apps
    balance roundrobin
    default-server check inter 100ms fall 2 rise 1
    server app-1 app-1:9000
    server app-2 app-2:9000
    server app-3 app-3:9000
"""


def deployment(folder) -> Deployment:
    """HAProxy before three of them."""
    config = folder / "haproxy.cfg"
    config.write_text(BALANCER)
    balancer = Service(
        "lb",
        image="haproxy:3.0",
        files=(File(config, "/usr/local/etc/haproxy/haproxy.cfg"),),
        depends_on={"app": "service_started"},
        healthcheck=Healthcheck(
            ("CMD", "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8000"), interval_s=1, retries=20
        ),
    )
    app = tiny.server("app", command=("python", "-c", POLITE), replicas=3)
    links = (Link("lb", "app", 9000),)
    topology = Topology("shop", {"lb": balancer, "app": app}, links, Link("client", "lb", 8000))
    return deploy_topology(topology)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=ENGINES)
async def cluster(request, tmp_path_factory):
    """Up once for all deploys: each finds what the last one left."""
    found = deployment(tmp_path_factory.mktemp("config"))
    async with up_on(request.param, found, tmp_path_factory.mktemp("run")) as up:
        yield up


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def docker(tmp_path_factory):
    """The tiny cluster in Docker; its store has a volume."""
    store = tiny.server("store", volumes=("kept:/kept",))
    async with up("docker", tiny.deployment(store=store), tmp_path_factory.mktemp("run")) as found:
        yield found


async def visit(cluster: Cluster) -> str:
    """What a client of the load balancer gets, over its link: an answer or what went wrong."""
    (end,) = cluster.deployment.ends_of("client -> lb")
    address = str(cluster.layout.links[end.name])
    if isinstance(cluster, LocalCluster):
        host, port = cluster.layout.real(address, 8000)
        async with httpx.AsyncClient(trust_env=False, timeout=5) as client:
            answer = await client.get(f"http://{host}:{port}/")
        return answer.text if answer.status_code == 200 else str(answer.status_code)
    order = cluster._agent.order
    where = {"address": address, "port": 8000, "method": "GET", "path": "/", "body": None}
    found = await order("http", **where, timeout_s=5.0)
    return found["body"] if found["status"] == 200 else str(found["status"])


@asynccontextmanager
async def visitors(cluster: Cluster) -> AsyncIterator[Counter[str]]:
    """Forty a second, as long as it lasts; counted by what they got."""
    seen: Counter[str] = Counter()
    visits: set[asyncio.Task[None]] = set()

    async def one() -> None:
        try:
            seen[await visit(cluster)] += 1
        except (EngineError, httpx.HTTPError) as error:
            seen[type(error).__name__] += 1

    async def many() -> None:
        while True:
            visits.add(asyncio.create_task(one()))
            await asyncio.sleep(0.025)

    coming = asyncio.create_task(many())
    try:
        yield seen
    finally:
        coming.cancel()
        await asyncio.gather(coming, *visits, return_exceptions=True)


def deploy(version: str, **settings: str) -> Fault:
    """A deploy of that version."""
    given = {"service": "app", "env": {"VERSION": version}, **settings}
    return KINDS["rolling_deploy"].model_validate(given)


async def finished(fault: Fault, cluster: Cluster, count: str = "3 of 3 replaced") -> str:
    """Until it has come so far."""
    async with asyncio.timeout(40):
        while count not in (text := (await fault.observe(cluster)).text):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return text


async def rolled_out(fault: Fault, cluster: Cluster) -> tuple[Counter[str], str]:
    """What visitors got while it went on, and what it told at its end."""
    async with visitors(cluster) as seen:
        await asyncio.sleep(0.3)
        try:
            await fault.inject(cluster)
            await fault.inject(cluster)
            await settled(fault, cluster, in_effect=True)
            await finished(fault, cluster)
            async with asyncio.timeout(20):  # until the last one is ready too
                while [await visit(cluster) for _ in range(6)] != [fault.env["VERSION"]] * 6:
                    pass
        finally:
            await fault.heal(cluster)
        text = await settled(fault, cluster, in_effect=False)
    return seen, text


@pytest.mark.asyncio(loop_scope="module")
async def test_a_deploy_that_asks_and_waits_is_not_noticed_and_one_that_does_not_is(cluster):
    """Errors are counted at the client: none, and about as many as were in flight."""
    deaths = asyncio.ensure_future(anext(cluster.deaths()))
    gentle, told = await rolled_out(deploy("2", grace="5s"), cluster)
    brutal, _ = await rolled_out(deploy("3", grace="0s", wait="none"), cluster)
    print(f"{cluster.engine}: gentle {dict(gentle)}, {told}; brutal {dict(brutal)}")
    if cluster.engine == "docker":  # a local link takes connections in the grace, and closes them
        assert set(gentle) <= {"1", "2"}
    assert gentle["2"] > 0
    errors = sum(count for what, count in brutal.items() if what not in ("2", "3"))
    assert errors >= 2
    assert told.startswith("3 of 3 replaced; steps ")
    assert told.count(",") == 2
    assert not deaths.done()
    deaths.cancel()
    assert await cluster.residue() == []


@pytest.mark.asyncio(loop_scope="module")
async def test_steps_follow_each_other_and_a_batch_goes_together(cluster):
    """Two steps for a batch of two, with the pause between them."""
    fault = deploy("4", grace="2s", batch="2", pause="700ms")
    began_s = time.monotonic()
    try:
        await fault.inject(cluster)
        text = await finished(fault, cluster)
    finally:
        await fault.heal(cluster)
    assert time.monotonic() - began_s > 2 * 0.5 + 0.7
    assert "3 of 3" in text


@pytest.mark.asyncio(loop_scope="module")
async def test_a_version_that_does_not_come_up_stops_its_deploy_and_is_taken_back(cluster):
    """The others serve on; afterwards all of them do."""
    before = await visit(cluster)
    bad = deploy("bad", grace="2s")
    try:
        await bad.inject(cluster)
        await settled(bad, cluster, in_effect=True)
        async with asyncio.timeout(30):
            while "app-1" not in (text := (await bad.observe(cluster)).text):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        assert text.startswith("1 of 3 replaced; shop/app-1")
        assert "a bad version" in text
        assert {await visit(cluster) for _ in range(6)} == {before}
    finally:
        await bad.heal(cluster)
    await settled(bad, cluster, in_effect=False)
    assert await cluster.residue() == []
    async with asyncio.timeout(10):
        while {await visit(cluster) for _ in range(6)} != {before, "1"}:
            pass


@pytest.mark.asyncio(loop_scope="module")
async def test_a_deploy_that_is_healed_in_the_middle_goes_no_further(cluster):
    """The step under way ends; two old ones stay."""
    fault = deploy("6", grace="2s", pause="5s")
    await fault.inject(cluster)
    await finished(fault, cluster, "1 of 3 replaced; steps")
    await fault.heal(cluster)
    await asyncio.sleep(0.5)
    assert (await fault.observe(cluster)).text.startswith("1 of 3 replaced; steps ")
    assert await cluster.residue() == []


@pytest.mark.local
@pytest.mark.asyncio(loop_scope="module")
async def test_what_a_process_cannot_have_is_refused_before_any_load(tmp_path):
    """Another image, another address; with the reason."""
    async with up("local", tiny.deployment(), tmp_path) as lab:
        for settings, why in (({"image": "x:1"}, "image"), ({"new_address": "true"}, "address")):
            fault = KINDS["replace"].model_validate({"service": "store", **settings})
            with pytest.raises(EngineError, match=f"another {why}"):
                await fault.prepare(lab.cluster)


@pytest.mark.docker
@pytest.mark.asyncio(loop_scope="module")
async def test_a_new_address_is_one_that_nobody_had_and_links_and_metrics_follow(docker: Tiny):
    """Its client asks by name as before; Prometheus and administrative requests find it too."""
    fault = KINDS["replace"].model_validate({"service": "store", "new_address": "true"})
    moved = KINDS["replace"].model_validate({"service": "app", "new_address": "true"})
    first = docker.address(docker.store.name)
    ever = {str(a) for a in docker.cluster.layout.containers.values()}
    try:
        await fault.inject(docker.cluster)
        await moved.inject(docker.cluster)
        seen = await fault.observe(docker.cluster)
        address = (await docker.cluster.life(docker.store)).address
        assert seen.in_effect
        assert address in seen.text
        assert address not in ever
        assert (await docker.ask("/new/store"))["text"] == "store"
        assert (await docker.cluster.probe(docker.end("store"))).outcome == "answered"
        at_s = time.time()
        async with asyncio.timeout(15):
            while not await docker.cluster.samples(at_s, time.time(), {"tiny_up"}):
                pass
    finally:
        await moved.heal(docker.cluster)
        await fault.heal(docker.cluster)
    assert (await docker.cluster.life(docker.store)).address == first
    assert (await docker.ask("/new/store"))["text"] == "store"
    assert await docker.cluster.residue() == []


@pytest.mark.docker
@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_replaced_keeps_its_volumes_its_usage_and_its_log(docker: Tiny):
    """And nothing else: the container's own files are the image's again."""
    write = ["sh", "-c", "echo kept >/kept/file; echo lost >/lost"]
    assert (await run(docker.cluster, docker.store, write, 5)).code == 0
    used = (await docker.cluster.usage())[docker.store.name].cpu_s
    fault = KINDS["replace"].model_validate({"service": "store", "env": {"NAME": "new"}})
    try:
        await fault.inject(docker.cluster)
        assert (await docker.ask("/new/store"))["text"] == "new"
        read = ["sh", "-c", "cat /kept/file; test -e /lost"]
        ended = await run(docker.cluster, docker.store, read, 5)
        assert (ended.code, ended.output) == (1, "kept\n")
        assert (await docker.cluster.usage())[docker.store.name].cpu_s >= used
    finally:
        await fault.heal(docker.cluster)
    assert (await docker.ask("/new/store"))["text"] == "store"
    with contextlib.suppress(EngineError):
        await docker.straight(docker.store, "/")
    assert len(docker.cluster._handles.retired[docker.store.name]) >= 2
