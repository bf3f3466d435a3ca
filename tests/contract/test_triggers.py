"""Faults that follow what a real service does: how long after it they are ordered and in force."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys

import pytest
import pytest_asyncio

from lab.clock import Clock
from lab.conditions import parse_condition
from lab.experiment import ScheduledFault
from lab.faults import KINDS
from lab.faults.triggered import Triggered
from lab.loading import find_topology, load_topology
from lab.plan import deploy_topology
from lab.triggers import NeverCameError, Watcher
from tests.contract.engines import ENGINES, up_on
from tests.contract.test_faults import LINK, PROJECT
from tests.unit.checkers_runs import experiment

WITHIN_S = 0.020
TIMES = 5


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=ENGINES)
async def cluster(request, tmp_path_factory):
    """The shop, up once for all of them."""
    topology = load_topology(find_topology("shop", PROJECT), "shop")
    out = tmp_path_factory.mktemp("run")
    async with up_on(request.param, deploy_topology(topology), out) as found:
        yield found


async def buy(cluster) -> None:
    """One purchase, which passes the inventory's point `reserving`."""
    (app,) = cluster.deployment.instances_of("app")
    status, _ = await cluster.http(app, "POST", "/buy/1")
    assert status == 200


async def last_event_s(cluster, clock: Clock) -> float:
    """When the inventory passed that point, by its own clock: here the same as ours (Linux)."""
    (inventory,) = cluster.deployment.instances_of("inventory")
    _, body = await cluster.http(inventory, "GET", "/_lab/events?names=reserving")
    return float(json.loads(body)["events"][-1]["at_s"]) - clock.zero_s


@pytest.mark.asyncio(loop_scope="module")
async def test_the_injection_follows_the_event_within_20_ms(cluster):
    """From the line in the service's code to the order, with everything between them."""
    fault = KINDS["latency"].model_validate({"link": LINK, "delay": "150ms"})
    design = cluster.deployment.designs[0]
    ordered, confirmed, told = [], [], []
    for _ in range(TIMES):
        clock = Clock.starting_in(0)
        scheduled = ScheduledFault(
            fault=fault, at_s=1.3, for_s=0.5, name="late", when="inventory.reserving", within_s=5
        )
        watcher = Watcher(experiment(faults=(scheduled,)), cluster, clock)
        await watcher.check()
        one = Triggered(scheduled, cluster, clock, watcher.note, watcher=watcher, design=design)
        running = asyncio.create_task(one.run())
        await asyncio.sleep(1.4 - clock.now())
        assert not one.record.injected_s
        await buy(cluster)
        event_s = await last_event_s(cluster, clock)
        record = await running
        assert record.bit
        assert record.healed
        assert record.started_by == f"inventory.reserving of {design}/inventory-1"
        ordered.append(record.injected_s - event_s)
        confirmed.append(record.confirmed_s - event_s)
        told.append(record.triggered_s - event_s)
    in_ms = [f"{a * 1000:.1f}/{b * 1000:.1f}" for a, b in zip(ordered, confirmed, strict=True)]
    print(f"\n{cluster.engine}: event to order/confirmed in ms: {', '.join(in_ms)}")
    if sys.platform == "linux":
        assert min(ordered) > 0
        assert statistics.median(ordered) < WITHIN_S
        assert all(abs(late_s) < WITHIN_S for late_s in sorted(told)[:3])
    assert await cluster.residue() == []


@pytest.mark.asyncio(loop_scope="module")
async def test_a_metric_of_a_service_is_seen_as_it_changes(cluster):
    """Read from the service itself, so a count of two requests later is seen within two looks."""
    clock, design = Clock.starting_in(0), cluster.deployment.designs[0]
    watcher = Watcher(experiment(), cluster, clock)
    text = "inventory.http_server_requests_total > 100000"
    with pytest.raises(NeverCameError, match="last value") as caught:
        await watcher.wait(parse_condition(text), design, 0, 0.3)
    before = float(str(caught.value).rpartition(" ")[2].replace(",", ""))
    condition = parse_condition(f"inventory.http_server_requests_total >= {before + 2:.0f}")
    waiting = asyncio.create_task(watcher.wait(condition, design, 0, 10))
    await asyncio.sleep(0.5)
    assert not waiting.done()
    await buy(cluster)
    await buy(cluster)
    bought_s = clock.now()
    seen = await waiting
    print(
        f"\n{cluster.engine}: metric seen {(seen.at_s - bought_s) * 1000:.0f} ms after it changed"
    )
    assert -0.2 < seen.at_s - bought_s < 0.6
    assert seen.text.endswith(f"(it was {before + 2:.0f})")
