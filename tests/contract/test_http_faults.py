"""Faults of single requests, closely: what a real client sees, on the connections that it has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio

from lab.errors import InjectionError
from lab.faults import KINDS, Fault
from lab.plan import deploy_topology
from tests.contract import tiny
from tests.contract.engines import ENGINES, Tiny, up

pytestmark = [pytest.mark.asyncio(loop_scope="module")]


def fault(link: str = "app -> store", **settings: Any) -> Fault:
    """An `http` fault."""
    return KINDS["http"].model_validate({"link": link, **settings})


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=ENGINES)
async def lab(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Tiny]:
    """One cluster for all tests, with an interceptor on the way to the store only."""
    deployment = deploy_topology(tiny.topology(), [fault(status=503)])
    assert deployment.intercepted == {"tiny/app-1 -> store-1:9000"}
    async with up(request.param, deployment, tmp_path_factory.mktemp("run")) as found:
        yield found


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def _clean(lab: Tiny) -> AsyncIterator[None]:
    """No test leaves a rule behind."""
    yield
    assert await lab.cluster.residue() == []


@asynccontextmanager
async def broken(lab: Tiny, one: Fault) -> AsyncIterator[None]:
    """The fault is there, seen, and seen to be gone afterwards."""
    assert (await one.observe(lab.cluster)).gone
    await one.inject(lab.cluster)
    try:
        seen = await one.observe(lab.cluster)
        assert seen.in_effect, seen.text
        yield
    finally:
        await one.heal(lab.cluster)
    seen = await one.observe(lab.cluster)
    assert seen.gone, seen.text


async def kept(lab: Tiny, times: int) -> list[str]:
    """Answers on the one connection that the app keeps to the store."""
    return [(await lab.ask("/keep/store"))["text"] for _ in range(times)]


async def test_the_first_requests_fail_on_a_connection_that_was_open(lab: Tiny) -> None:
    """Two, and no probe takes the place of one; the connection stays."""
    assert await kept(lab, 1) == ["store"]
    one = fault(status=503, first=2, body="no", path="/", retry_after="1s")
    async with broken(lab, one):
        for _ in range(3):
            await one.observe(lab.cluster)
            await lab.cluster.probe(lab.end("store"))
        assert await kept(lab, 5) == ["no", "no", "store", "store", "store"]
        seen = await one.observe(lab.cluster)
        assert seen.in_effect
        assert seen.text.endswith("; 2 of 5 such requests struck, 5 passed by")
    assert await kept(lab, 1) == ["store"]


async def test_a_share_is_the_same_requests_for_the_same_seed(lab: Tiny) -> None:
    """Counted from when the rule is armed, over all connections."""
    one = fault(status=500, share="40%", body="no")
    rounds = []
    for how in ("keep", "new"):
        async with broken(lab, one):
            rounds.append([(await lab.ask(f"/{how}/store"))["text"] for _ in range(40)])
    assert rounds[0] == rounds[1]
    assert 5 <= rounds[0].count("no") <= 28  # by 1 in 10^5


async def test_half_an_answer_is_seen_as_that(lab: Tiny) -> None:
    """Its length was promised, so a client that looks can tell."""
    async with broken(lab, fault(truncate="3B")):
        assert (await lab.ask("/new/store"))["error"] == "IncompleteRead"
        assert (await lab.ask("/new/cache"))["text"] == "cache"


async def test_a_request_waits(lab: Tiny) -> None:
    """On this link only."""
    async with broken(lab, fault(delay="200ms", method="GET")):
        answer = await lab.ask("/keep/store")
        assert answer["text"] == "store"
        assert 200 <= answer["ms"] < 1500
        assert (await lab.ask("/keep/cache"))["ms"] < 200


async def test_a_rule_about_nothing_that_passes_is_not_in_effect(lab: Tiny) -> None:
    """The probe is struck, real requests are not: a fault that hits nobody proves nothing."""
    one = fault(status=503, path="/orders/*")
    async with broken(lab, one):
        assert await kept(lab, 2) == ["store", "store"]
        seen = await one.observe(lab.cluster)
        assert not seen.in_effect
        assert not seen.gone
        assert seen.text.endswith("; no such request came, 2 passed by")


async def test_it_shows_as_residue_until_it_is_off(lab: Tiny) -> None:
    """Under the link's name."""
    one = fault(status=503)
    await one.inject(lab.cluster)
    (left,) = await lab.cluster.residue()
    assert left.startswith("tiny/app-1 -> store-1:9000: its requests are struck")
    await one.heal(lab.cluster)


async def test_a_dead_and_a_frozen_server_look_the_same_through_it(lab: Tiny) -> None:
    """As on a link without an interceptor, for new connections and for the one there is."""
    cluster = lab.cluster
    cache = cluster.deployment.instance("tiny/cache-1")
    seen: dict[str, list[str]] = {}
    for server, instance in (("store", lab.store), ("cache", cache)):
        seen[server] = [(await lab.ask(f"/keep/{server}")).get("error", "answered")]
        await cluster.pause(instance)
        seen[server].append((await cluster.probe(lab.end(server), 0.5)).outcome)
        await cluster.resume(instance)
        await cluster.kill(instance)
        seen[server].append((await cluster.probe(lab.end(server), 0.5)).outcome)
        seen[server].append((await lab.ask(f"/keep/{server}"))["error"])
        await cluster.start(instance)
        seen[server].append((await cluster.probe(lab.end(server), 2.0)).outcome)
    assert seen["store"] == seen["cache"]
    assert seen["store"][:3] == ["answered", "silent", "refused"]
    assert seen["store"][-1] == "answered"


async def test_a_partition_holds_with_it_in_the_path(lab: Tiny) -> None:
    """Bytes stop at the link's address, before they reach it."""
    cut = KINDS["partition"].model_validate({"between": ["app", "store"]})
    await cut.inject(lab.cluster)
    try:
        assert "error" in await lab.ask("/new/store?timeout=0.5")
    finally:
        await cut.heal(lab.cluster)
    assert (await lab.ask("/new/store"))["text"] == "store"


async def test_a_link_that_nobody_planned_for_is_refused(lab: Tiny) -> None:
    """Never silently not injected."""
    with pytest.raises(InjectionError, match=r"no interceptor .* in the path of .* cache-1:9000"):
        await fault(link="app -> cache", status=503).inject(lab.cluster)


async def test_what_it_uses_is_counted_as_the_lab_s(lab: Tiny) -> None:
    """A part of its own in every account."""
    used = (await lab.cluster.usage())["lab/interceptor"]
    assert used.memory_bytes > 1_000_000
