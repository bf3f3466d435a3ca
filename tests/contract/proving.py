"""What every fault must show, for those that need another topology than the shop."""

from __future__ import annotations

import asyncio

import pytest

from lab.clock import Clock
from lab.engines import Cluster
from lab.experiment import ScheduledFault
from lab.faults import Injection
from lab.faults.base import Fault
from tests.contract.test_faults import settled


async def bites_heals_and_leaves_nothing(fault: Fault, cluster: Cluster) -> None:
    """The effect is measured before, during and after; doing either step twice changes nothing."""
    assert fault.targets(cluster.deployment)
    await fault.prepare(cluster)
    await settled(fault, cluster, in_effect=False)
    try:
        await fault.inject(cluster)
        await fault.inject(cluster)
        await settled(fault, cluster, in_effect=True)
    finally:
        await fault.heal(cluster)
        await fault.heal(cluster)
    await settled(fault, cluster, in_effect=False)
    assert await cluster.residue() == []


async def is_healed_when_cancelled(fault: Fault, cluster: Cluster) -> None:
    """Ctrl-C in the middle leaves the cluster as it was."""
    scheduled = ScheduledFault(fault=fault, at_s=0.1, for_s=60, name=fault.kind)
    bit = asyncio.Event()

    def changed(_record, stage):
        if stage == "bit":
            bit.set()

    injection = Injection(scheduled, cluster, Clock.starting_in(0), changed)
    task = asyncio.create_task(injection.run())
    async with asyncio.timeout(20):
        await asyncio.wait(
            [task, asyncio.create_task(bit.wait())], return_when=asyncio.FIRST_COMPLETED
        )
    if task.done():
        await task
    assert injection.record.bit
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert injection.record.healed
    assert await cluster.residue() == []
