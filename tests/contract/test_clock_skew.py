"""A wall clock that jumps, as a Python service and PostgreSQL see it; what cannot be fooled."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
import pytest_asyncio

from lab.errors import EngineError
from lab.faults import KINDS, Fault
from lab.plan import Instance, deploy_topology
from lab.topology import Healthcheck, Service
from tests.contract import tiny
from tests.contract.engines import Tiny, up

pytestmark = pytest.mark.docker

# Tells both of its clocks, and how long a sleep of 200 ms takes by the monotonic one.
CLOCKS = tiny.SERVER.replace(
    "        data = os.environ['NAME'].encode()",
    """
        import asyncio, json, time
        wall, steady = time.time(), time.monotonic()
        asyncio.run(asyncio.sleep(0.1))
        time.sleep(0.1)
        slept = time.monotonic() - steady
        data = json.dumps({'wall': wall, 'steady': steady, 'slept': slept}).encode()""",
)
TOLERANCE_S = 0.5
"""Between asking and answering on a busy machine."""


def skew(service: str, by: str) -> Fault:
    """A fault as a file writes it."""
    return KINDS["clock_skew"].model_validate({"service": service, "by": by})


FAULTS = (skew("store", "-30s"), skew("cache", "+1m"), skew("db", "1h"), skew("proxy", "1h"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def docker(tmp_path_factory):
    """Two Python services, PostgreSQL under `init`, and one in Go that is linked statically."""
    command = ("python", "-c", CLOCKS)
    db = Service(
        "db",
        image="postgres:17",
        environment={"POSTGRES_PASSWORD": "x"},
        healthcheck=Healthcheck(("CMD", "pg_isready", "-U", "postgres"), interval_s=0.2),
        init=True,
    )
    proxy = Service("proxy", image="ghcr.io/shopify/toxiproxy:2.12.0")
    topology = tiny.topology(
        store=tiny.server("store", command=command),
        cache=tiny.server("cache", command=command),
        db=db,
        proxy=proxy,
    )
    deployment = deploy_topology(topology, FAULTS)
    out = tmp_path_factory.mktemp("run")
    async with up("docker", deployment, out, patience_s=60) as found:
        yield found


async def clocks(lab: Tiny, instance: Instance) -> Any:
    """Both clocks of a service, less this machine's: `wall` and `steady` in seconds."""
    found = json.loads((await lab.straight(instance, "/"))["body"])
    return {**found, "wall": found["wall"] - time.time(), "steady": found["steady"]}


@pytest.mark.asyncio(loop_scope="module")
async def test_the_wall_clock_jumps_and_the_monotonic_one_does_not(docker: Tiny):
    """While it runs; sleeps take as long as they should; healing jumps back."""
    fault = FAULTS[0]
    await fault.prepare(docker.cluster)
    before = await clocks(docker, docker.store)
    mark_s = time.monotonic()
    try:
        await fault.inject(docker.cluster)
        seen = await fault.observe(docker.cluster)
        assert seen.in_effect
        assert float(seen.text.removesuffix(" ms")) == pytest.approx(-30_000, abs=100)
        during = await clocks(docker, docker.store)
        assert "its clock is off by -30" in "".join(await docker.cluster.residue())
    finally:
        await fault.heal(docker.cluster)
    after = await clocks(docker, docker.store)
    passed_s = time.monotonic() - mark_s
    assert before["wall"] == pytest.approx(0, abs=TOLERANCE_S)
    assert during["wall"] == pytest.approx(-30, abs=TOLERANCE_S)
    assert after["wall"] == pytest.approx(0, abs=TOLERANCE_S)
    assert 0 < during["steady"] - before["steady"] < passed_s + TOLERANCE_S
    assert all(0.19 <= one["slept"] < 2 for one in (before, during, after))
    assert await docker.cluster.residue() == []


@pytest.mark.asyncio(loop_scope="module")
async def test_it_stays_off_over_a_crash_and_comes_right_although_it_was_healed_while_down(
    docker: Tiny,
):
    """The file is the container's; what is healed while down is set right at its next start."""
    fault, cache = FAULTS[1], docker.cluster.deployment.instance("tiny/cache-1")
    try:
        await fault.inject(docker.cluster)
        await docker.cluster.kill(cache)
        await docker.cluster.start(cache)
        assert (await clocks(docker, cache))["wall"] == pytest.approx(60, abs=TOLERANCE_S)
        await docker.cluster.kill(cache)
    finally:
        await fault.heal(docker.cluster)
    assert (await fault.observe(docker.cluster)).text == "down"
    await docker.cluster.start(cache)
    await asyncio.sleep(0.2)
    assert (await clocks(docker, cache))["wall"] == pytest.approx(0, abs=TOLERANCE_S)
    assert await docker.cluster.residue() == []


@pytest.mark.asyncio(loop_scope="module")
async def test_postgresql_tells_another_time(docker: Tiny):
    """Asked in SQL, on a connection made after the jump."""
    fault, db = FAULTS[2], docker.cluster.deployment.instance("tiny/db-1")

    async def off_s() -> float:
        words = ["psql", "-U", "postgres", "-Atc", "select extract(epoch from clock_timestamp())"]
        _, output = await docker.cluster._health._run(docker.container(db), words)
        return float(output) - time.time()

    await fault.prepare(docker.cluster)
    try:
        await fault.inject(docker.cluster)
        assert (await fault.observe(docker.cluster)).in_effect
        assert await off_s() == pytest.approx(3600, abs=TOLERANCE_S)
    finally:
        await fault.heal(docker.cluster)
    assert await off_s() == pytest.approx(0, abs=TOLERANCE_S)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_program_that_asks_the_kernel_is_refused(docker: Tiny):
    """Before any load, by name."""
    with pytest.raises(EngineError, match="toxiproxy runs without libfaketime"):
        await FAULTS[3].prepare(docker.cluster)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_service_that_was_started_without_the_library_is_refused(docker: Tiny):
    """No fault of the plan named it, so it cannot be fooled now."""
    with pytest.raises(EngineError, match="runs without libfaketime"):
        await skew("app", "-30s").prepare(docker.cluster)
