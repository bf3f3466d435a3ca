"""Faults of single packets, closely: what a client of the link sees, and that each ends alone."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio

from lab.engines import Disturbance, Volley
from lab.faults import KINDS, Fault
from tests.contract import tiny
from tests.contract.engines import Tiny, up

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.docker]

STORE, CACHE = "app -> store", "app -> cache"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tiny]:
    """One cluster for all tests of this file; the local engine refuses these faults."""
    async with up("docker", tiny.deployment(), tmp_path_factory.mktemp("run")) as found:
        why = found.cluster.lacking(Disturbance("hold")) or found.cluster.lacking(
            Disturbance("lose")
        )
        if why and not os.environ.get("CI"):
            pytest.skip(f"this kernel cannot host them: {why}")
        yield found


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def _clean(lab: Tiny) -> AsyncIterator[None]:
    """No test leaves a fault behind."""
    yield
    assert await lab.cluster.residue() == []


def fault(kind: str, link: str = STORE, **settings: Any) -> Fault:
    """A fault of a link, the one to the store if no other is named."""
    return KINDS[kind].model_validate({"link": link, **settings})


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


async def shoot(lab: Tiny, server: str, stream: str, count: int = 1000) -> Volley:
    """Datagrams over the link to a server."""
    shot: Volley = await lab.cluster.volley(lab.end(server), stream, count, 0.3, "")
    return shot


async def test_connecting_is_slow_and_what_follows_is_not(lab: Tiny) -> None:
    """A client that keeps its connection does not notice; another link does not either."""
    await lab.ask("/keep/store")
    async with broken(lab, fault("slow_connect", delay="700ms")):
        new, kept = await lab.ask("/new/store"), await lab.ask("/keep/store")
        other = await lab.ask("/new/cache")
        late = await lab.ask("/new/store?timeout=0.3")
    after = await lab.ask("/new/store")
    assert new["text"] == kept["text"] == "store"
    assert 700 <= new["ms"] < 1000, new
    assert max(kept["ms"], other["ms"], after["ms"]) < 350, (kept, other, after)
    assert late["error"] == "TimeoutError"


async def test_over_a_longer_cable_connecting_and_asking_take_a_round_trip_each(lab: Tiny) -> None:
    """Both below TCP: 100 ms there and back, twice."""
    await lab.ask("/keep/store")
    async with broken(lab, fault("packet_delay", delay="50ms")):
        new, kept = await lab.ask("/new/store"), await lab.ask("/keep/store")
        other = await lab.ask("/new/cache")
    assert 200 <= new["ms"] < 400, new
    assert 100 <= kept["ms"] < 200, kept
    assert other["ms"] < 100, other


async def test_what_is_lost_comes_late_and_whole(lab: Tiny) -> None:
    """TCP sends it again: every answer is right, and one in some is late by a timeout of TCP."""
    await lab.ask("/keep/store")
    async with broken(lab, fault("loss", share="15%")):
        took = [await lab.ask("/keep/store") for _ in range(30)]
    assert {answer["text"] for answer in took} == {"store"}
    assert max(answer["ms"] for answer in took) >= 190, took


@pytest.mark.parametrize("stream", ["upstream", "downstream"])
async def test_a_copy_is_no_traffic_of_the_link_and_only_its_way_is_doubled(
    lab: Tiny, stream: str
) -> None:
    """The account of the link is the same as without the fault; datagrams show the copies."""
    packets = []
    for faults in ([], [fault("duplicate", share="50%", stream=stream)]):
        async with broken(lab, *faults):
            before = (await lab.cluster.traffic())[lab.end("store").name].packets
            for _ in range(20):
                await lab.ask("/new/store")
            packets.append((await lab.cluster.traffic())[lab.end("store").name].packets - before)
            shots = {way: await shoot(lab, "store", way) for way in ("upstream", "downstream")}
    # TCP tells its peer of some copies (RFC 2883), with packets that are its own.
    assert packets[0] <= packets[1] <= packets[0] * 1.7, packets
    other = "upstream" if stream == "downstream" else "downstream"
    assert 400 <= shots[stream].copies <= 600
    assert shots[other].copies == 0


async def test_all_on_one_link_together_and_each_ends_alone(lab: Tiny) -> None:
    """Five faults at once are each seen; when one has ended it is gone, and the others are not."""
    faults = [
        fault("loss", share="10%"),
        fault("duplicate", share="20%"),
        fault("reorder", share="20%", delay="30ms"),
        fault("packet_delay", delay="20ms"),
        fault("slow_connect", delay="200ms"),
    ]
    async with broken(lab, *faults, *faults):
        for one in faults:
            await seen(one, lab, in_effect=True)
        assert (await shoot(lab, "cache", "upstream")).arrived == 1000
        for number, one in enumerate(faults):
            await one.heal(lab.cluster)
            await seen(one, lab, in_effect=False)
            for other in faults[number + 1 :]:
                await seen(other, lab, in_effect=True)
    clean = await shoot(lab, "store", "upstream")
    assert (clean.arrived, clean.copies, clean.overtaken) == (1000, 0, 0)


async def test_under_a_partition_loss_is_counted_and_each_ends_alone(lab: Tiny) -> None:
    """Two losses and a partition of one link: the kernel's counters tell them apart."""
    few, many = fault("loss", share="5%"), fault("loss", share="40%")
    cut = KINDS["partition"].model_validate({"between": ["app", "store"]})
    async with broken(lab, few, cut, many):
        for one in (few, many, cut):
            await seen(one, lab, in_effect=True)
        await cut.heal(lab.cluster)
        await seen(cut, lab, in_effect=False)
        await few.heal(lab.cluster)
        await seen(few, lab, in_effect=False)
        await seen(many, lab, in_effect=True)
    for one in (few, many, cut):
        assert (await one.observe(lab.cluster)).gone
    assert (await shoot(lab, "store", "downstream")).arrived == 1000


async def test_residue_names_the_link_and_the_fault(lab: Tiny) -> None:
    """As long as the kernel has a rule of it."""
    async with broken(lab, fault("corrupt", CACHE, share="10%")):
        (left,) = await lab.cluster.residue()
    assert left.startswith("tiny/app-1 -> cache-1:9000: something happens to its packets (corrupt-")


async def seen(one: Fault, lab: Tiny, *, in_effect: bool) -> None:
    """Look until it is (not) in effect: chance may need a second look."""
    for _ in range(5):
        found = await one.observe(lab.cluster)
        if found.in_effect if in_effect else found.gone:
            return
    raise AssertionError(f"{one.describe()}: {found.text}")
