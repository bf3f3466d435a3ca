"""Failpoints of real services: what is left armed is seen, an ordered death is no news."""

from __future__ import annotations

import asyncio
import contextlib
import time

import pytest
import pytest_asyncio

from lab.errors import EngineError, InjectionError
from lab.faults import KINDS
from lab.loading import find_topology, load_topology
from lab.plan import deploy_topology
from tests.contract.engines import ENGINES, up_on
from tests.contract.test_faults import PROJECT, settled

POINT = "reserving"


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=ENGINES)
async def cluster(request, tmp_path_factory):
    """The shop, up once for all of them."""
    topology = load_topology(find_topology("shop", PROJECT), "shop")
    out = tmp_path_factory.mktemp("run")
    async with up_on(request.param, deploy_topology(topology), out) as found:
        yield found


def inventory(cluster):
    (found,) = cluster.deployment.instances_of("inventory")
    return found


async def buy(cluster) -> None:
    """One purchase, whatever becomes of it."""
    (app,) = cluster.deployment.instances_of("app")
    with contextlib.suppress(EngineError):
        await cluster.http(app, "POST", "/buy/1")


async def exited(cluster) -> None:
    """Until the inventory has ended."""
    until_s = time.monotonic() + 10
    while (await cluster.state(inventory(cluster))).status != "exited":
        assert time.monotonic() < until_s
        await asyncio.sleep(0.02)


@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_left_armed_is_residue(cluster):
    """Asked of the service itself, so a forgotten failpoint ends a run with exit code 5."""
    one = inventory(cluster)
    armed = await cluster.arm(one, POINT, {"do": "error"})
    assert (armed.armed, armed.reached, armed.struck) == (True, 0, 0)
    assert await cluster.residue() == [f"{one.name}: failpoint {POINT} is armed"]
    await cluster.disarm(one, POINT)
    assert await cluster.residue() == []


@pytest.mark.asyncio(loop_scope="module")
async def test_what_makes_no_sense_is_refused_with_the_service_s_own_words(cluster):
    """And nothing is armed by it."""
    with pytest.raises(InjectionError, match=r"answered 400 .*explode is none of die, stop"):
        await cluster.arm(inventory(cluster), POINT, {"do": "explode"})
    await cluster.disarm(inventory(cluster), POINT)
    assert await cluster.residue() == []


@pytest.mark.asyncio(loop_scope="module")
async def test_a_death_that_was_ordered_is_no_news_and_any_other_is(cluster):
    """The run's guard against services that die by themselves goes on to work."""
    told: list[str] = []

    async def listen() -> None:
        async for name, why in cluster.deaths():
            told.append(f"{name}: {why}")

    listening = asyncio.create_task(listen())
    fault = KINDS["failpoint"].model_validate({"service": "inventory", "point": POINT, "do": "die"})
    try:
        await fault.inject(cluster)
        await buy(cluster)
        await exited(cluster)
        (end,) = cluster.deployment.ends_of("app -> inventory")
        assert await settled(fault, cluster, in_effect=True) == "exited (137)"
        assert (await cluster.probe(end)).outcome == "refused"
        await fault.heal(cluster)
        await settled(fault, cluster, in_effect=False)
        assert told == []
        await cluster.http(inventory(cluster), "POST", f"/_lab/failpoints/{POINT}?do=die")
        await buy(cluster)
        await exited(cluster)
        await asyncio.sleep(0.3)
        assert told == [f"{inventory(cluster).name}: exit code 137"]
    finally:
        listening.cancel()
        await cluster.start(inventory(cluster))
    assert await cluster.residue() == []


@pytest.mark.asyncio(loop_scope="module")
async def test_healing_does_not_wait_for_a_service_that_does_not_answer(cluster):
    """Frozen by something else it is woken, or crashed and started; nothing is armed afterwards."""
    settings = {"service": "inventory", "point": POINT, "do": "error"}
    fault = KINDS["failpoint"].model_validate(settings)
    await fault.inject(cluster)
    await cluster.pause(inventory(cluster))
    began_s = time.monotonic()
    await fault.heal(cluster)
    assert time.monotonic() - began_s < 15
    await settled(fault, cluster, in_effect=False)
    assert await cluster.residue() == []
