"""Faults are in force when they are planned: seen at the link, within 20 ms."""

from __future__ import annotations

import statistics

import pytest
import pytest_asyncio

from lab.faults import KINDS, refusal
from lab.loading import find_topology, load_topology
from lab.plan import deploy_topology
from tests.contract.engines import ENGINES, up_on
from tests.contract.on_time import measure
from tests.contract.test_faults import LINK, PROJECT

WITHIN_S = 0.020
TIMES = 3

FAULTS = {
    "kill": {"service": "inventory"},
    "latency": {"link": LINK, "delay": "150ms"},
    "partition": {"between": ["app", "inventory"]},
    "packet_delay": {"link": LINK, "delay": "60ms"},
    "refuse": {"link": LINK},
    "slow_connect": {"link": LINK, "delay": "600ms"},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=ENGINES)
async def cluster(request, tmp_path_factory):
    """The shop, up once for all of them."""
    topology = load_topology(find_topology("shop", PROJECT), "shop")
    out = tmp_path_factory.mktemp("run")
    async with up_on(request.param, deploy_topology(topology), out) as found:
        yield found


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("kind", sorted(FAULTS))
async def test_a_fault_is_in_force_within_20_ms_of_its_plan(cluster, kind):
    """What the machine does besides only ever adds: so the order's median, and the best sight."""
    fault = KINDS[kind].model_validate(FAULTS[kind])
    if refusal(fault, cluster):
        assert cluster.engine == "local"
        return
    (end,) = cluster.deployment.ends_of(LINK)
    found = [await measure(cluster, fault, end) for _ in range(TIMES)]
    print([f"{d.ordered_s * 1000:.1f}/{(d.seen_s or 9) * 1000:.1f} ms" for d in found])
    assert statistics.median(d.ordered_s for d in found) < WITHIN_S
    assert min(d.seen_s for d in found if d.seen_s is not None) < WITHIN_S
