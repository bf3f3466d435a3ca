"""When a fault is in force, measured at the link that it breaks: for the bench and for a test."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from lab.clock import Clock
from lab.engines import Cluster, Probe
from lab.experiment import ScheduledFault
from lab.faults import Injection
from lab.faults.base import Fault
from lab.plan import LinkEnd

LEAD_S = 0.1
"""Probing begins that long before the planned moment."""

_PROBE_S = 0.03
_HOLD_S = 0.35


@dataclass(frozen=True, slots=True)
class Delays:
    """Seconds after the planned moment; `seen_s` is None where no probe showed the fault.

    `ordered_s`: the order was given. `confirmed_s`: whoever carries it out said that it is done.
    `seen_s`: the first probe of the link that met the fault was sent.
    """

    ordered_s: float
    confirmed_s: float
    seen_s: float | None


def in_trouble(probe: Probe) -> bool:
    """A healthy link answers at once."""
    return probe.outcome != "answered" or probe.seconds >= _PROBE_S


async def measure(
    cluster: Cluster, fault: Fault, end: LinkEnd | None, shows: Callable[[Probe], bool] = in_trouble
) -> Delays:
    """Inject a fault at a planned moment, probing a link all the while, and heal it again."""
    clock = Clock.starting_in(0)
    at_s = fault.look_s + 2 * LEAD_S
    scheduled = ScheduledFault(fault=fault, at_s=at_s, for_s=_HOLD_S + fault.look_s, name="timed")
    injection = Injection(scheduled, cluster, clock, lambda *_: None)
    watching = asyncio.create_task(_first(cluster, end, clock, at_s, shows)) if end else None
    try:
        record = await injection.run()
    finally:
        if watching:
            watching.cancel()
            await asyncio.wait([watching])
    assert record.injected_s is not None
    assert record.confirmed_s is not None
    seen_s = watching.result() if watching and not watching.cancelled() else None
    return Delays(
        record.injected_s - at_s,
        record.confirmed_s - at_s,
        None if seen_s is None else seen_s - at_s,
    )


async def _first(
    cluster: Cluster, end: LinkEnd, clock: Clock, at_s: float, shows: Callable[[Probe], bool]
) -> float:
    """When the first probe that met the fault was sent."""
    await asyncio.sleep(at_s - LEAD_S - clock.now())
    until_s = time.monotonic() + LEAD_S + _HOLD_S
    while time.monotonic() < until_s:
        sent_s = clock.now()
        if shows(await cluster.probe(end, _PROBE_S)) and sent_s >= at_s:
            return sent_s
    raise asyncio.CancelledError
