"""Faults whose value changes over their time: what a client sees at each moment."""

from __future__ import annotations

import asyncio
import re

import pytest
import pytest_asyncio

from lab.clock import Clock
from lab.experiment import ScheduledFault
from lab.faults import KINDS, Injection
from lab.faults.base import Fault
from tests.contract import tiny
from tests.contract.engines import ENGINES, up

pytestmark = [pytest.mark.asyncio(loop_scope="module")]

LINK = "app -> store"
PART_MS = 50
"""What a step may let go of early: a tenth of 500 ms."""

BUSY_MS = 80


def fault(kind: str, **settings: object) -> Fault:
    """A fault of the link to the store."""
    return KINDS[kind].model_validate({"link": LINK, **settings})


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=ENGINES)
async def lab(request, tmp_path_factory):
    """One tiny cluster for all."""
    async with up(request.param, tiny.deployment(), tmp_path_factory.mktemp("run")) as found:
        yield found


def injection(lab, one: Fault, for_s: float) -> tuple[Injection, Clock]:
    """It starts a second and a half from now, at zero."""
    clock = Clock.starting_in(1.5)
    scheduled = ScheduledFault(fault=one, at_s=0.0, for_s=for_s, name="ramp")
    return Injection(scheduled, lab.cluster, clock, lambda *_: None), clock


@pytest.mark.parametrize(("start", "end"), [(0, 500), (500, 0), (100, 300)])
async def test_a_delay_that_changes(lab, start, end):
    """On a connection that stays open, every answer is about as late as the ramp is then."""
    one, clock = injection(lab, fault("latency", delay=f"{start}ms to {end}ms"), 4.0)
    await lab.ask("/keep/store")
    task = asyncio.create_task(one.run())
    await asyncio.sleep(0.2 - clock.now())
    seen = []
    while clock.now() < 3.4:
        began_s = clock.now()
        answer = await lab.ask("/keep/store?timeout=5")
        seen.append((began_s, clock.now(), answer.get("ms", -1.0)))
        await asyncio.sleep(0.03)
    record = await task
    print(record.during, "|", [(round(at_s, 2), round(ms)) for at_s, _, ms in seen])
    early = []
    for began_s, ended_s, ms in seen:
        expected = [start + (end - start) * at_s / 4.0 for at_s in (began_s, ended_s)]
        step_ms = abs(end - start) * 0.25 / 4.0  # a step of 200 ms, and the time to make it
        assert ms <= max(expected) + step_ms + BUSY_MS, (began_s, ms)
        early.append(ms < min(expected) - step_ms - PART_MS)
    assert len(seen) >= 6
    assert sum(early) <= 0.1 * len(early), early
    numbers = [float(n) for n in re.findall(r"round trip ([\d.]+) ms", record.during)]
    assert len(numbers) == 3
    assert numbers == sorted(numbers, reverse=end < start)
    assert (record.bit, record.healed) == (True, True)
    assert await lab.cluster.residue() == []


@pytest.mark.parametrize("rate", ["200KB/s to 40KB/s", "40KB/s to 200KB/s"])
async def test_a_rate_that_changes(lab, rate):
    """It is measured at its beginning, in its middle and at its end, and is what it should be."""
    for tries_left in (2, 1, 0):  # a busy machine may spoil one of three short measurements
        one, _ = injection(lab, fault("bandwidth", rate=rate), 4.0)
        record = await one.run()
        print(record.during)
        assert record.healed
        assert await lab.cluster.residue() == []
        numbers = [float(n) for n in re.findall(r"([\d.]+) KiB/s", record.during)]
        slow, quick = (numbers[-1], numbers[0])[:: 1 if rate.startswith("200") else -1]
        if len(numbers) == 3 and record.bit and slow == min(numbers) and quick > 1.5 * slow:
            return
        assert tries_left, record.during


@pytest.mark.parametrize(
    "one",
    [
        fault("latency", delay="0ms to 400ms over 2s"),
        fault("bandwidth", rate="40KB/s to 200KB/s over 2s"),
    ],
    ids=["latency", "bandwidth"],
)
async def test_breaking_off_in_the_middle_heals(lab, one):
    """Between two steps or in one of them."""
    for after_s in (0.05, 0.75, 1.0):
        run, clock = injection(lab, one, 5.0)
        task = asyncio.create_task(run.run())
        await asyncio.sleep(after_s - clock.now())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert run.record.healed
        assert await lab.cluster.proxies.toxics() == {}
        await asyncio.sleep(0.3)  # a step that was under way would show now
        assert await lab.cluster.residue() == []
