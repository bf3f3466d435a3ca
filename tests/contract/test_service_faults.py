"""What faults of services do to real ones: answers in flight, real OOM kills, measured CPU."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from lab.errors import EngineError, InjectionError
from lab.faults import KINDS, Fault
from tests.contract import tiny
from tests.contract.engines import ENGINES, Tiny, up

_CGROUP_V1 = Path("/sys/fs/cgroup/memory").exists()

# Answers after 0.3 s; asked to end, it takes 0.5 s for what it has begun.
POLITE = tiny.SERVER.replace(
    "data = os.environ",
    "time.sleep(0.3)\n        data = os.environ",
).replace(
    "import os, sys",
    """
import os, signal, sys, threading, time
signal.signal(signal.SIGTERM, lambda *_: threading.Timer(0.5, os._exit, (0,)).start())
""",
)
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + tiny.SERVER
INTERRUPTIBLE = (
    "import os, signal; signal.signal(signal.SIGINT, lambda *_: os._exit(7))\n" + tiny.SERVER
)
# /eat keeps 100 MB, /burn keeps one core busy.
HUNGRY = tiny.SERVER.replace(
    "        if self.path == '/die'",
    """
        if self.path == '/eat':
            kept.append(bytearray(b'x' * 100_000_000))
        if self.path == '/burn':
            threading.Thread(target=burn, daemon=True).start()
        if self.path == '/die'""",
).replace(
    "import os, sys",
    """
import os, sys, threading
kept = []
def burn():
    while True:
        pass
""",
)


def python(name: str, code: str, **changes: Any) -> Any:
    """A service that runs this."""
    return tiny.server(name, command=("python", "-c", code), **changes)


def fault(kind: str, **settings: str) -> Fault:
    """A fault as a file writes it."""
    return KINDS[kind].model_validate(settings)


async def errors(lab: Tiny) -> set[str]:
    """What a crowd of new clients of the store gets instead of answers."""
    answers = await asyncio.gather(*(lab.ask("/new/store?timeout=1") for _ in range(8)))
    return {answer.get("error", "none") for answer in answers}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=ENGINES)
async def lab(request, tmp_path_factory):
    """The store is polite, the cache is not, and the other one has a signal of its own."""
    deployment = tiny.deployment(
        store=python("store", POLITE),
        cache=python("cache", STUBBORN),
        other=python("other", INTERRUPTIBLE, stop_signal="INT"),
    )
    async with up(request.param, deployment, tmp_path_factory.mktemp("run")) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def docker(tmp_path_factory):
    """The store is hungry and has limits, the cache has none."""
    store = python("store", HUNGRY, memory_bytes=256 << 20, cpus=1.0)
    async with up("docker", tiny.deployment(store=store), tmp_path_factory.mktemp("run")) as found:
        yield found


@pytest.mark.asyncio(loop_scope="module")
async def test_a_stopped_service_answers_what_it_has_begun(lab: Tiny):
    """Its links close when it has ended, not before; then they refuse; healing opens them."""
    stop = fault("stop", service="store", grace="5s")
    begun = asyncio.create_task(lab.ask("/new/store"))
    await asyncio.sleep(0.15)
    try:
        await stop.inject(lab.cluster)
        assert (await begun)["text"] == "store"
        assert (await lab.cluster.probe(lab.end("store"))).outcome == "refused"
        state = await lab.cluster.state(lab.store)
        assert (state.status, state.exit_code) == ("exited", 0)
        assert (await lab.ask("/new/store"))["error"] == "ConnectionRefusedError"
    finally:
        await stop.heal(lab.cluster)
    assert (await lab.ask("/new/store"))["text"] == "store"
    assert await lab.cluster.residue() == []


@pytest.mark.asyncio(loop_scope="module")
async def test_a_service_that_does_not_listen_is_killed_after_its_grace(lab: Tiny):
    """Not before; and the engine tells that it was killed."""
    stop = fault("stop", service="cache", grace="400ms")
    began_s = time.monotonic()
    try:
        await stop.inject(lab.cluster)
        assert 0.4 <= time.monotonic() - began_s < 4
        assert "exited (137)" in (await stop.observe(lab.cluster)).text
    finally:
        await stop.heal(lab.cluster)


@pytest.mark.asyncio(loop_scope="module")
async def test_the_signal_is_the_topology_s(lab: Tiny):
    """With or without `SIG`, as Compose takes it; also one that was paused before gets it."""
    stop, pause = fault("stop", service="other", grace="10s"), fault("pause", service="other")
    try:
        await pause.inject(lab.cluster)
        await stop.inject(lab.cluster)
        assert (await stop.observe(lab.cluster)).text == "exited (7)"
    finally:
        await pause.heal(lab.cluster)
        await stop.heal(lab.cluster)
    assert await lab.cluster.residue() == []


@pytest.mark.asyncio(loop_scope="module")
async def test_a_stop_that_is_broken_off_leaves_nothing_that_dies_later(lab: Tiny):
    """Cancelled in the middle of its grace and healed, the service runs and goes on running."""
    stop = fault("stop", service="store", grace="10s")
    task = asyncio.create_task(stop.inject(lab.cluster))
    await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await stop.heal(lab.cluster)
    life = (await lab.cluster.state(lab.store)).started_s
    await asyncio.sleep(0.8)  # longer than it takes from its signal to its end
    state = await lab.cluster.state(lab.store)
    assert (state.status, state.started_s) == ("running", life)
    assert await lab.cluster.residue() == []


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("graceful", ["true", "false"])
async def test_a_restart_is_one_later_life_and_no_news(lab: Tiny, graceful: str):
    """Exactly one, also when it is ordered twice; nobody reports a death."""
    restart = fault("restart", service="store-*", graceful=graceful)
    deaths = asyncio.ensure_future(anext(lab.cluster.deaths()))
    before = (await lab.cluster.state(lab.store)).started_s
    assert before == pytest.approx(time.time(), abs=120)
    await restart.inject(lab.cluster)
    during = (await lab.cluster.state(lab.store)).started_s
    assert during > before
    await restart.inject(lab.cluster)
    seen = await restart.observe(lab.cluster)
    assert seen.in_effect
    assert seen.text.startswith("up for ")
    await restart.heal(lab.cluster)
    assert (await lab.cluster.state(lab.store)).started_s == during
    assert not (await restart.observe(lab.cluster)).in_effect
    assert not deaths.done()
    deaths.cancel()


@pytest.mark.asyncio(loop_scope="module")
async def test_a_crash_loop_goes_on_until_it_is_healed(lab: Tiny):
    """Life after life; between crashes the service answers; afterwards one life stays."""
    loop = fault("crash_loop", service="cache", every="300ms")
    cache = lab.cluster.deployment.instance("tiny/cache-1")
    lives, answered = set(), 0
    await loop.inject(lab.cluster)
    try:
        async with asyncio.timeout(20):
            while len(lives) < 4 or not answered:
                lives.add((await lab.cluster.state(cache)).started_s)
                answered += "text" in await lab.ask("/new/cache")
    finally:
        await loop.heal(lab.cluster)
    life = (await lab.cluster.state(cache)).started_s
    await asyncio.sleep(1.0)
    state = await lab.cluster.state(cache)
    assert (state.status, state.started_s) == ("running", life)
    assert await lab.cluster.residue() == []


@pytest.mark.docker
@pytest.mark.asyncio(loop_scope="module")
async def test_links_that_are_shut_at_the_same_moment_are_all_shut(docker: Tiny):
    """Orders to the agent come side by side when a fault stops several services."""
    ends = [docker.end("store"), docker.end("cache")]
    for order, outcome in (("shut", "refused"), ("unshut", "answered")):
        await asyncio.gather(
            *(docker.order(order, addresses=[docker.link_address(e)]) for e in ends)
        )
        seen = [(await docker.cluster.probe(end)).outcome for end in ends]
        assert seen == [outcome, outcome]


@pytest.mark.docker
@pytest.mark.asyncio(loop_scope="module")
async def test_less_cpu_is_less_work(docker: Tiny):
    """Measured by the kernel's clock of the container, before, during and after."""

    async def cores() -> float:
        before, mark_s = await docker.cluster.usage(), time.monotonic()
        await asyncio.sleep(1.0)
        after, now_s = await docker.cluster.usage(), time.monotonic()
        name = docker.store.name
        return (after[name].cpu_s - before[name].cpu_s) / (now_s - mark_s)

    limit = fault("cpu_limit", service="store", cpus="0.1")
    await docker.straight(docker.store, "/burn")
    try:
        free = await cores()
        await limit.inject(docker.cluster)
        assert "its CPU limit is 0.1, not 1" in "".join(await docker.cluster.residue())
        limited = await cores()
        await limit.heal(docker.cluster)
        healed = await cores()
    finally:
        await limit.heal(docker.cluster)
        await docker.cluster.kill(docker.store)
        await docker.cluster.start(docker.store)
    assert limited < 0.2
    assert free > 2 * limited
    assert healed > 2 * limited
    assert await docker.cluster.residue() == []


@pytest.mark.docker
@pytest.mark.asyncio(loop_scope="module")
async def test_what_needs_more_memory_than_it_may_have_is_killed_and_it_is_no_news(docker: Tiny):
    """A real OOM kill; its links refuse; healing gives it its memory and its life back."""
    deaths = asyncio.ensure_future(anext(docker.cluster.deaths()))
    limit = fault("memory_limit", service="store", memory="64MiB")
    try:
        await limit.inject(docker.cluster)
        assert (await limit.observe(docker.cluster)).text == "64 MiB"
        with pytest.raises(EngineError):
            await docker.straight(docker.store, "/eat")
        async with asyncio.timeout(10):
            while await errors(docker) != {"ConnectionRefusedError"}:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        seen = await limit.observe(docker.cluster)
        assert seen.in_effect
        assert "killed: out of memory" in seen.text
    finally:
        await limit.heal(docker.cluster)
    assert (await docker.ask("/new/store"))["text"] == "store"
    assert await docker.cluster.residue() == []
    await docker.straight(docker.store, "/eat")
    assert not deaths.done()
    await docker.end_by_itself(docker.store)  # the next death is news again
    assert await asyncio.wait_for(deaths, 10) == (docker.store.name, "exit code 5")
    await docker.cluster.start(docker.store)


@pytest.mark.docker
@pytest.mark.asyncio(loop_scope="module")
async def test_a_service_without_limits_has_none_again(docker: Tiny):
    """The cache: the topology says nothing, so nothing stays."""
    limits = [
        fault("cpu_limit", service="cache", cpus="0.5"),
        fault("memory_limit", service="cache", memory="200MiB"),
    ]
    cache = docker.cluster.deployment.instance("tiny/cache-1")
    before = await docker.cluster.limits(cache)
    assert (before.cpus, before.memory_bytes) == (None, None)
    for limit in limits:
        await limit.inject(docker.cluster)
    during = await docker.cluster.limits(cache)
    assert (during.cpus, during.memory_bytes) == (0.5, 200 << 20)
    assert len(await docker.cluster.residue()) == 2
    for limit in limits:
        await limit.heal(docker.cluster)
    assert await docker.cluster.limits(cache) == before
    assert await docker.cluster.residue() == []


@pytest.mark.docker
@pytest.mark.asyncio(loop_scope="module")
async def test_a_limit_below_what_is_in_use_is_refused_or_kills(docker: Tiny):
    """By the kernel: cgroup v1 refuses, and the error says so; v2 kills."""
    await docker.straight(docker.store, "/eat")
    limit = fault("memory_limit", service="store", memory="40MiB")
    try:
        if _CGROUP_V1:
            with pytest.raises(InjectionError, match="40 MiB is below what is in use"):
                await limit.inject(docker.cluster)
        else:
            await limit.inject(docker.cluster)
            async with asyncio.timeout(10):
                while not (await docker.cluster.state(docker.store)).oom_killed:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
    finally:
        await limit.heal(docker.cluster)
    assert await docker.cluster.residue() == []
