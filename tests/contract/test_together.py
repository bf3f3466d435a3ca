"""Several faults on one link at a time: in which order they act, and that each heals alone."""

from __future__ import annotations

import asyncio

import pytest
import pytest_asyncio

from lab.clock import Clock
from lab.experiment import ScheduledFault
from lab.faults import KINDS, Injection, Together
from lab.faults.base import Fault
from tests.contract import tiny
from tests.contract.engines import ENGINES, up

pytestmark = [pytest.mark.asyncio(loop_scope="module")]

LINK = "app -> store"
BUSY_MS = 60


def fault(kind: str, **settings: object) -> Fault:
    """A fault of the link to the store."""
    return KINDS[kind].model_validate({"link": LINK, **settings})


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=ENGINES)
async def lab(request, tmp_path_factory):
    """One tiny cluster for all."""
    async with up(request.param, tiny.deployment(), tmp_path_factory.mktemp("run")) as found:
        yield found


def schedule(lab, *faults: tuple[str, Fault, float, float]) -> tuple[list[Injection], Clock]:
    """Injections of one run, by name, fault, start and length in seconds."""
    clock, together = Clock.starting_in(1.5), Together()
    return [
        Injection(
            ScheduledFault(fault=one, at_s=at_s, for_s=for_s, name=name),
            lab.cluster,
            clock,
            lambda *_: None,
            together=together,
        )
        for name, one, at_s, for_s in faults
    ], clock


async def toxics(lab) -> list[str]:
    """The toxics of the link, in the order in which they act."""
    there = await lab.cluster.proxies.toxics()
    return [toxic.name for toxic in there.get(lab.end("store").proxy, ())]


async def until(clock: Clock, at_s: float) -> None:
    """Until that moment of the run."""
    await asyncio.sleep(at_s - clock.now())


async def test_two_latencies_add_up_and_heal_one_by_one(lab):
    """A client sees the sum, then what is left; each of the two proves itself beside the other."""
    injections, clock = schedule(
        lab,
        ("far", fault("latency", delay="300ms"), 0.0, 3.0),
        ("near", fault("latency", delay="100ms"), 1.0, 4.0),
    )
    work = [asyncio.create_task(one.run()) for one in injections]
    seen_ms = []
    for at_s in (0.4, 2.2, 4.0, 5.8):
        await until(clock, at_s)
        seen_ms.append((await lab.ask("/new/store"))["ms"])
    records = await asyncio.gather(*work)
    print(seen_ms, [record.during for record in records])
    for seen, wanted in zip(seen_ms, (300, 400, 100, 0), strict=True):
        assert wanted - 1 <= seen < wanted + BUSY_MS
    assert [(record.bit, record.healed) for record in records] == [(True, True)] * 2
    assert await lab.cluster.residue() == []


async def test_a_latency_beside_a_larger_one_is_not_taken_for_it(lab):
    """What the other adds is deducted: without its own toxic the small one is not in effect."""
    large, small = fault("latency", delay="300ms").placed("large", 1.0), fault("latency", delay=0.1)
    try:
        await large.inject(lab.cluster)
        seen = await small.observe(lab.cluster)
        assert (seen.in_effect, seen.gone) == (False, True), seen.text
        await small.inject(lab.cluster)
        assert (await small.observe(lab.cluster)).in_effect
        assert (await large.observe(lab.cluster)).in_effect
    finally:
        await large.heal(lab.cluster)
        assert (await small.observe(lab.cluster)).in_effect
        await small.heal(lab.cluster)
    assert await toxics(lab) == []


@pytest.mark.parametrize("first", ["latency", "bandwidth"])
async def test_those_that_start_together_act_in_the_order_of_the_file(lab, first):
    """And a later one after them, although its kind comes before theirs in the alphabet."""
    settings = {"latency": {"delay": "100ms"}, "bandwidth": {"rate": "100KB/s"}}
    second = next(kind for kind in settings if kind != first)
    for _ in range(3):
        injections, clock = schedule(
            lab,
            ("one", fault(first, **settings[first]), 0.0, 1.5),
            ("two", fault(second, **settings[second]), 0.0, 1.2),
            ("three", fault("slow_close", delay="100ms"), 0.0, 1.0),
            ("late", fault("latency", delay="30ms"), 0.4, 0.4),
        )
        work = [asyncio.create_task(one.run()) for one in injections]
        await until(clock, 0.3)
        names = [f"lab-{name}-downstream" for name in ("one", "two", "three")]
        assert await toxics(lab) == names
        await until(clock, 0.65)
        assert await toxics(lab) == [*names, "lab-late-downstream"]
        records = await asyncio.gather(*work)
        late_s = [record.injected_s - record.planned_s for record in records]
        print("late", late_s)
        assert max(late_s) < 0.2
        assert all(record.healed for record in records)
        assert await toxics(lab) == []


async def test_the_order_matters(lab):
    """A delay before a narrow line adds to it; behind it, the time in the line counts as delay."""
    took_s = {}
    for order in (("latency", "bandwidth"), ("bandwidth", "latency")):
        settings = {"latency": {"delay": "300ms"}, "bandwidth": {"rate": "20KB/s"}}
        faults = [fault(kind, **settings[kind]).placed(kind, 1.0) for kind in order]
        try:
            for one in faults:
                await one.inject(lab.cluster)
            tried = await lab.cluster.exchange(lab.end("store"), "downstream", 8000, 5.0)
            took_s[order] = tried.seconds
        finally:
            for one in faults:
                await one.heal(lab.cluster)
    print(took_s)
    delayed_first, narrow_first = took_s.values()
    assert delayed_first > narrow_first + 0.1
