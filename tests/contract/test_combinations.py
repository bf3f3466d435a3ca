"""Faults together: whatever overlaps with whatever, each heals alone and nothing stays behind."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest
import pytest_asyncio

from lab.clock import Clock
from lab.errors import HealError, LabError
from lab.experiment import ScheduledFault
from lab.faults import KINDS, Injection, refusal
from lab.faults.base import Fault
from lab.plan import deploy_topology
from lab.topology import Link, Topology
from tests.contract import tiny
from tests.contract.engines import ENGINES, up_on

LINKS = ("one -> two", "two -> three", "one -> three")
SERVICES = ("one", "two", "three")
TOGETHER = {
    *("corrupt", "duplicate", "latency", "loss", "packet_delay", "partition"),
    *("reorder", "slow_connect", "unplug"),
}
"""Kinds of which several may be at one place, each healing alone."""

FEW, MANY = 15, 200
"""Combinations in `make test`, and in `make test-all`."""


def _fault(chance: random.Random) -> Fault:
    """One fault at random, with random settings."""
    link, service = chance.choice(LINKS), chance.choice(SERVICES)
    share = f"{chance.choice([2, 10, 40])}%"
    settings: dict[str, dict[str, object]] = {
        "bandwidth": {"link": link, "rate": f"{chance.choice([20, 50, 200])}KB/s"},
        "blackhole": {"link": link},
        "corrupt": {"link": link, "share": share},
        "crash_loop": {"service": service, "every": "200ms"},
        "duplicate": {"link": link, "share": share, "stream": "downstream"},
        "flap": {"link": link, "period": "400ms", "down": "200ms"},
        "kill": {"service": service},
        "latency": {"link": link, "delay": f"{chance.randrange(20, 200)}ms"},
        "limit_data": {"link": link, "bytes": "300B"},
        "loss": {"link": link, "share": share},
        "packet_delay": {"link": link, "delay": f"{chance.randrange(5, 100)}ms"},
        "partition": {"between": [part.strip() for part in link.split("->")]},
        "pause": {"service": service},
        "refuse": {"link": link},
        "reorder": {"link": link, "share": share, "stream": "upstream"},
        "reset": {"link": link},
        "restart": {"service": service},
        "slicer": {"link": link, "size": "50B", "delay": "2ms"},
        "slow_close": {"link": link, "delay": "200ms"},
        "slow_connect": {"link": link, "delay": f"{chance.randrange(20, 300)}ms"},
        "stop": {"service": service},
        "unplug": {"service": service},
    }
    kind = chance.choice(sorted(settings))
    return KINDS[kind].model_validate(settings[kind])


def combination(seed: int) -> list[ScheduledFault]:
    """Two to four faults at random times, overlapping in most cases.

    Of one kind only where several may be at one place: partitions, and all faults of packets.
    """
    chance = random.Random(seed)
    faults: list[Fault] = []
    for _ in range(chance.randrange(2, 5)):
        fault = _fault(chance)
        if fault.kind in TOGETHER or fault.kind not in {other.kind for other in faults}:
            faults.append(fault)
    return [
        ScheduledFault(
            fault=fault,
            at_s=chance.uniform(0, 0.4),
            for_s=chance.uniform(0.1, 0.8),
            name=f"{fault.kind}-{number}",
        )
        for number, fault in enumerate(faults)
    ]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=ENGINES)
async def cluster(request, tmp_path_factory):
    """Three servers, each linked to those after it."""
    services = {name: tiny.server(name) for name in SERVICES}
    links = tuple(Link(*(part.strip() for part in link.split("->")), 9000) for link in LINKS)
    topology = Topology("mesh", services, links, Link("client", "one", 9000))
    out: Path = tmp_path_factory.mktemp("run")
    async with up_on(request.param, deploy_topology(topology), out) as found:
        yield found


async def _together(cluster, faults: list[ScheduledFault]) -> list[BaseException]:
    """Run them; what they raised. One that another one hides has not bitten, and that is fine."""
    clock = Clock.starting_in(0)
    work = [Injection(fault, cluster, clock, lambda *_: None).run() for fault in faults]
    results = await asyncio.gather(*work, return_exceptions=True)
    return [result for result in results if isinstance(result, BaseException)]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "seeds",
    [
        pytest.param(range(FEW), id="a few"),
        pytest.param(range(FEW, MANY), id="many", marks=pytest.mark.experiment),
    ],
)
async def test_random_combinations_leave_nothing(cluster, seeds):
    """Every seed is one combination; after each the cluster is as it was."""
    for seed in seeds:
        faults = [one for one in combination(seed) if not refusal(one.fault, cluster)]
        said = f"seed {seed}: {', '.join(f.fault.describe() for f in faults)}"
        troubles = await _together(cluster, faults)
        assert not [t for t in troubles if not isinstance(t, LabError)], f"{said}: {troubles}"
        async with asyncio.timeout(20):
            while left := await cluster.residue():  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        assert left == [], said
        still = [t for t in troubles if isinstance(t, HealError)]
        assert not still, f"{said}: {still}"
