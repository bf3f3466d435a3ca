"""Faults of links, closely: what a real client sees, and that none is taken for another."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio

from lab.clock import Clock
from lab.engines import Resettable
from lab.experiment import ScheduledFault
from lab.faults import KINDS, Fault, Injection
from tests.contract import tiny
from tests.contract.engines import ENGINES, Tiny, up

pytestmark = [pytest.mark.asyncio(loop_scope="module")]

INJECTED_WITHIN_S = 0.1


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=ENGINES)
async def lab(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Tiny]:
    """One cluster for all tests of this file; each leaves it as it found it."""
    async with up(request.param, tiny.deployment(), tmp_path_factory.mktemp("run")) as found:
        yield found


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def _clean(lab: Tiny) -> AsyncIterator[None]:
    """No test leaves a fault behind."""
    yield
    assert await lab.cluster.residue() == []


def fault(kind: str, **settings: Any) -> Fault:
    """A fault of the link to the store."""
    return KINDS[kind].model_validate({"link": "app -> store", **settings})


@asynccontextmanager
async def broken(lab: Tiny, *faults: Fault) -> AsyncIterator[None]:
    """These faults are there."""
    try:
        for one in faults:
            await one.inject(lab.cluster)
        yield
    finally:
        for one in faults:
            await one.heal(lab.cluster)


OTHERS = {
    "a wider line": (
        ("bandwidth", {"rate": "400KB/s"}),
        ("bandwidth", {"rate": "100KB/s"}),
    ),
    "the other way": (
        ("bandwidth", {"rate": "50KB/s", "stream": "upstream"}),
        ("bandwidth", {"rate": "50KB/s", "stream": "downstream"}),
    ),
    "more connections": (
        ("latency", {"delay": "100ms", "share": "90%"}),
        ("latency", {"delay": "100ms", "share": "20%"}),
    ),
    "all connections": (
        ("latency", {"delay": "100ms"}),
        ("latency", {"delay": "100ms", "share": "30%"}),
    ),
    "some connections": (
        ("latency", {"delay": "100ms", "share": "50%"}),
        ("latency", {"delay": "300ms"}),
    ),
    "requests swallowed": (
        ("blackhole", {"stream": "upstream"}),
        ("blackhole", {"stream": "downstream"}),
    ),
    "replies swallowed": (
        ("blackhole", {"stream": "downstream"}),
        ("blackhole", {}),
    ),
    "later end": (
        ("limit_data", {"bytes": "500B"}),
        ("limit_data", {"bytes": "400B"}),
    ),
    "quicker slices": (
        ("slicer", {"size": "50B", "delay": "5ms"}),
        ("slicer", {"size": "50B", "delay": "20ms"}),
    ),
    "closed earlier": (
        ("slow_close", {"delay": "200ms"}),
        ("slow_close", {"delay": "600ms"}),
    ),
    "always down": (
        ("refuse", {}),
        ("flap", {"period": "500ms", "down": "250ms"}),
    ),
}


@pytest.mark.parametrize("case", OTHERS)
async def test_no_fault_is_taken_for_another(lab: Tiny, case: str) -> None:
    """With a weaker or a different fault in effect, this one is not."""
    (kind, settings), (other_kind, other_settings) = OTHERS[case]
    there, looked_for = fault(kind, **settings), fault(other_kind, **other_settings)
    async with broken(lab, there):
        assert (await there.observe(lab.cluster)).in_effect
        seen = await looked_for.observe(lab.cluster)
        assert not seen.in_effect, seen.text


async def test_an_idle_connection_is_reset_and_new_ones_are_not(lab: Tiny) -> None:
    """Its owner hears "connection reset by peer", not a goodbye."""
    assert isinstance(lab.cluster, Resettable)
    assert (await lab.ask("/keep/store"))["text"] == "store"
    assert (await lab.ask("/keep/cache"))["text"] == "cache"
    await lab.cluster.reset([lab.end("store")])
    assert (await lab.ask("/keep/store"))["error"] == "ConnectionResetError"
    assert (await lab.ask("/new/store"))["text"] == "store"
    assert (await lab.ask("/keep/store"))["text"] == "store"
    assert (await lab.ask("/keep/cache"))["text"] == "cache"


async def test_the_reset_fault_resets_open_and_new_connections(lab: Tiny) -> None:
    """Then, healed, the client connects anew."""
    assert (await lab.ask("/keep/store"))["text"] == "store"
    async with broken(lab, fault("reset")):
        assert (await lab.ask("/keep/store"))["error"] == "ConnectionResetError"
        assert (await lab.ask("/new/store"))["error"] == "ConnectionResetError"
    assert (await lab.ask("/keep/store"))["text"] == "store"


async def test_half_an_answer(lab: Tiny) -> None:
    """It looks like a whole one to a client that is told no length: Python's, without its body."""
    async with broken(lab, fault("limit_data", bytes="30B")):
        assert (await lab.ask("/new/store"))["text"] == ""
    assert (await lab.ask("/new/store"))["text"] == "store"


async def test_a_share_of_connections_is_late_for_clients_as_well(lab: Tiny) -> None:
    """At 50 %, thirty new connections are neither all late nor all quick (by 1 in 10^9)."""
    async with broken(lab, fault("latency", delay="150ms", share="50%")):
        answers = [await lab.ask("/new/store") for _ in range(30)]
        assert 0 < sum(answer["ms"] >= 150 for answer in answers) < 30


async def test_flapping_refuses_and_answers_in_turn(lab: Tiny) -> None:
    """It starts on time although looking takes a whole period, and goes on until it is healed."""
    flap = fault("flap", period="500ms", down="250ms")
    at_s = flap.look_s + 0.2
    scheduled = ScheduledFault(fault=flap, at_s=at_s, for_s=3.0, name="flap")
    injection = Injection(scheduled, lab.cluster, Clock.starting_in(0), lambda *_: None)
    running = asyncio.create_task(injection.run())
    seen = []
    while not running.done():
        answer = await lab.ask("/new/store?timeout=1")
        if injection.record.injected_s is not None:
            seen.append("text" in answer)
        await asyncio.sleep(0.02)
    record = await running
    assert record.bit
    assert record.healed
    assert record.injected_s is not None
    assert record.injected_s - at_s < INJECTED_WITHIN_S
    turns = sum(one != other for one, other in itertools.pairwise(seen))
    assert turns >= 8  # six periods, two turns each


async def test_faults_on_one_link_heal_each_alone(lab: Tiny) -> None:
    """Two toxics and an interval of closing: taking one off leaves the others."""
    late, narrow = fault("latency", delay="150ms"), fault("bandwidth", rate="50KB/s")
    slow = fault("slow_close", delay="400ms")
    async with broken(lab, late, narrow, slow):
        for one in (late, narrow, slow):
            seen = await one.observe(lab.cluster)
            assert seen.in_effect, (one.describe(), seen.text)
        await late.heal(lab.cluster)
        assert (await late.observe(lab.cluster)).gone
        assert (await narrow.observe(lab.cluster)).in_effect
        await narrow.heal(lab.cluster)
        assert (await narrow.observe(lab.cluster)).gone
        assert (await slow.observe(lab.cluster)).in_effect
