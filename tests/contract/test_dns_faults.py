"""Faults of names, closely: what a service sees that looks its links up by DNS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from lab.errors import InjectionError
from lab.faults import KINDS, Fault
from lab.plan import deploy_topology
from tests.contract import tiny
from tests.contract.engines import Tiny, up

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.docker]

FAILS_WITHIN_S = 30.0
"""A C library asks a server that does not answer twice, for 5 s each (resolv.conf(5))."""


def fault(host: str = "store", service: str = "app", **settings: Any) -> Fault:
    """A `dns` fault."""
    return KINDS["dns"].model_validate({"service": service, "host": host, **settings})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tiny]:
    """One cluster for all tests; the app looks names up, and has two stores."""
    store = replace(tiny.server("store"), replicas=2)
    topology = tiny.topology(store=store)
    deployment = deploy_topology(topology, [fault(answer="servfail")])
    assert deployment.resolving == {"tiny/app-1"}
    async with up("docker", deployment, tmp_path_factory.mktemp("run")) as found:
        yield found


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def _clean(lab: Tiny) -> AsyncIterator[None]:
    """No test leaves a wrong answer behind."""
    yield
    assert await lab.cluster.residue() == []


@asynccontextmanager
async def broken(lab: Tiny, one: Fault) -> AsyncIterator[None]:
    """The fault is there, seen, and seen to be gone afterwards."""
    before = await one.observe(lab.cluster)
    assert before.gone, before.text
    await one.inject(lab.cluster)
    try:
        seen = await one.observe(lab.cluster)
        assert seen.in_effect, seen.text
        yield
    finally:
        await one.heal(lab.cluster)
    after = await one.observe(lab.cluster)
    assert after.gone, after.text
    assert after.text.startswith("right after "), after.text


def links_to(lab: Tiny, *servers: str) -> list[str]:
    """The addresses of the app's links to these."""
    ends = (end for s in servers for end in lab.cluster.deployment.ends_of(f"app -> {s}"))
    return sorted({lab.link_address(end) for end in ends})


async def test_names_lead_to_links(lab: Tiny) -> None:
    """As a hosts file does: a service's name to all its replicas, what has no link straight."""
    assert await lab.ask("/resolve/store") == links_to(lab, "store")
    assert len(links_to(lab, "store")) == 2
    assert await lab.ask("/resolve/store-2") == links_to(lab, "store-2")
    assert await lab.ask("/resolve/STORE-2") == links_to(lab, "store-2")
    assert await lab.ask("/resolve/cache") == links_to(lab, "cache")
    assert await lab.ask("/resolve/other") == [lab.address("other-1")]
    assert (await lab.ask("/new/store"))["text"] == "store"
    assert "not known" in str(await lab.ask("/resolve/nobody"))
    assert "not known" in str(await lab.ask("/resolve/example.com"))


@pytest.mark.parametrize(
    ("answer", "says"), [("nxdomain", "not known"), ("servfail", "ailure in name resolution")]
)
async def test_a_name_that_fails(lab: Tiny, answer: str, says: str) -> None:
    """As the C library of the service says it; other names and replicas are as before."""
    async with broken(lab, fault(answer=answer)):
        assert says in str(await lab.ask("/resolve/store?timeout=20"))
        assert (await lab.ask("/new/store"))["error"] == "gaierror"
        assert await lab.ask("/resolve/store-1") == links_to(lab, "store-1")
        assert (await lab.ask("/new/cache"))["text"] == "cache"
    assert (await lab.ask("/new/store"))["text"] == "store"


async def test_connections_that_are_open_do_not_notice(lab: Tiny) -> None:
    """Only a look-up can fail."""
    assert (await lab.ask("/keep/store-1"))["text"] == "store"
    async with broken(lab, fault("store-1", answer="servfail")):
        assert (await lab.ask("/keep/store-1"))["text"] == "store"
        assert (await lab.ask("/new/store-1"))["error"] == "gaierror"


async def test_an_answer_is_late(lab: Tiny) -> None:
    """By so much, and then it is right."""
    async with broken(lab, fault(delay="400ms")):
        answer = await lab.ask("/new/store")
        assert answer["text"] == "store"
        assert 400 <= answer["ms"] < 3000
    assert (await lab.ask("/new/store"))["ms"] < 300


async def test_an_old_address_leads_nowhere(lab: Tiny) -> None:
    """Packets to it are answered by nobody, as when a machine has been switched off."""
    async with broken(lab, fault(answer="stale")):
        assert await lab.ask("/resolve/store") == [str(lab.cluster.layout.nobody)]
        assert (await lab.ask("/new/store?timeout=0.5"))["error"] in ("TimeoutError", "OSError")
    assert (await lab.ask("/new/store"))["text"] == "store"


async def test_no_answer_comes(lab: Tiny) -> None:
    """The service waits for as long as its C library does."""
    asked = asyncio.create_task(lab.cluster.look_up(lab.app, "store", 1.0))
    assert (await asked).is_right
    async with broken(lab, fault("store-2", answer="timeout")):
        looking = asyncio.create_task(lab.ask("/resolve/store-2"))
        done, _ = await asyncio.wait([looking], timeout=2.0)
        assert not done
    async with asyncio.timeout(FAILS_WITHIN_S):
        await asyncio.gather(looking, return_exceptions=True)
    assert await lab.ask("/resolve/store-2") == links_to(lab, "store-2")


async def test_the_service_s_own_questions_are_counted(lab: Tiny) -> None:
    """And those of the lab are not."""
    one = fault("cache", answer="servfail")
    async with broken(lab, one):
        before = (await one.observe(lab.cluster)).text
        assert before.endswith(" times so far, 0 were hit")
        await one.observe(lab.cluster)
        assert (await one.observe(lab.cluster)).text.split("; ")[1] == before.split("; ")[1]
        await lab.ask("/new/cache")
        asked, hit = await lab.cluster.lookups([lab.app], "cache", one._why)
        assert asked >= hit >= 1
    await lab.ask("/new/cache")
    assert (await lab.cluster.lookups([lab.app], "cache", one._why))[1] == hit


async def test_two_faults_of_one_name_heal_each_alone(lab: Tiny) -> None:
    """The one that came last answers."""
    slow, gone = fault(delay="300ms"), fault(answer="nxdomain")
    await slow.inject(lab.cluster)
    await gone.inject(lab.cluster)
    assert (await gone.observe(lab.cluster)).in_effect
    assert len(await lab.cluster.residue()) == 1
    await gone.heal(lab.cluster)
    assert (await gone.observe(lab.cluster)).gone
    assert (await slow.observe(lab.cluster)).in_effect
    await slow.heal(lab.cluster)
    assert (await slow.observe(lab.cluster)).gone


async def test_who_has_a_hosts_file_is_refused(lab: Tiny) -> None:
    """Never silently not injected."""
    with pytest.raises(InjectionError, match="finds names in its hosts file"):
        await fault("app", "store-1", answer="servfail").inject(lab.cluster)


async def test_a_service_that_was_killed_looks_up_again(lab: Tiny) -> None:
    """Its resolver is part of its container."""
    await lab.cluster.kill(lab.app)
    await lab.cluster.start(lab.app)
    assert await lab.ask("/resolve/store") == links_to(lab, "store")
