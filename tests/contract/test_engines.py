"""What every engine does for a tiny deployment: links, faults on links and instances, readings.

One suite for all engines; where they differ by nature (a packet is not a piece of bytes), `Traits`
says how.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from lab.engines import Killable, Partitionable, Pausable
from lab.proxies import Toxic
from tests.contract import tiny
from tests.contract.engines import MODES, Tiny, up

pytestmark = [pytest.mark.asyncio(loop_scope="module")]

LATENCY = Toxic("late", "latency", "downstream", {"latency": 200, "jitter": 0})
CUT_WITHIN_S = 0.020


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=MODES)
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


async def test_a_client_finds_its_links_and_nothing_by_luck(lab: Tiny) -> None:
    """Link addresses for what it has links to, real ones for the rest of its design."""
    link = lab.link_address(lab.end("store"))
    assert await lab.ask("/resolve/store") == [link]
    assert await lab.ask("/resolve/store-1") == [link]
    assert await lab.ask("/resolve/other") == [lab.address("other-1")]
    assert isinstance(await lab.ask("/resolve/lab-prometheus"), str)  # an error, in words


async def test_traffic_goes_through_the_proxy_of_its_link_and_no_other(lab: Tiny) -> None:
    """The counter of the link rises with the app's own requests, and that of the other does not."""
    before = await lab.cluster.traffic()
    for _ in range(5):
        assert (await lab.ask("/new/store"))["text"] == "store"
    after = await lab.cluster.traffic()
    store, cache = lab.end("store").name, lab.end("cache").name
    assert after[store].packets - before[store].packets >= 5 * lab.traits.packets_per_request
    assert after[store].bytes > before[store].bytes
    assert after[cache] == before[cache]


async def test_probes_are_not_counted_as_traffic(lab: Tiny) -> None:
    """The proof that load went through a link must not come from the lab itself."""
    before = await lab.cluster.traffic()
    assert (await lab.cluster.probe(lab.end("store"))).outcome == "answered"
    assert await lab.cluster.traffic() == before


async def test_two_links_to_the_same_port_do_not_collide(lab: Tiny) -> None:
    """Both servers listen on 9000; each name leads to its own."""
    assert (await lab.ask("/new/store"))["text"] == "store"
    assert (await lab.ask("/new/cache"))["text"] == "cache"


async def test_a_toxic_delays_the_requests_of_its_link_only(lab: Tiny) -> None:
    """The app's own request is late, its other link and the server itself are not."""
    end = lab.end("store")
    await lab.cluster.proxies.add(end.proxy, LATENCY)
    try:
        assert (await lab.ask("/new/store"))["ms"] >= 200
        assert (await lab.cluster.probe(end)).seconds >= 0.2
        assert (await lab.ask("/new/cache"))["ms"] < 150
        began_s = time.monotonic()
        await lab.straight(lab.store, "/")
        assert time.monotonic() - began_s < 0.15
    finally:
        await lab.cluster.proxies.remove(end.proxy, "late")
    assert (await lab.ask("/new/store"))["ms"] < 150


async def test_a_partition_stalls_the_established_connection_which_then_goes_on(lab: Tiny) -> None:
    """No packet passes, no new connection is made, and after healing the old one answers."""
    assert isinstance(lab.cluster, Partitionable)
    end = lab.end("store")
    await lab.ask("/keep/store")
    before = await lab.cluster.traffic()
    await lab.cluster.cut([end])
    try:
        probe = await lab.cluster.probe(end, 0.4)
        assert (probe.outcome, probe.connect_s) == ("silent", None)
        assert (await lab.ask("/new/store?timeout=0.5"))["error"] == "TimeoutError"
        assert (await lab.ask("/new/cache"))["text"] == "cache"
        kept = asyncio.create_task(lab.ask("/keep/store"))
        done, _ = await asyncio.wait([kept], timeout=1.0)
        assert not done
        assert await lab.cluster.residue() == [f"{end.name}: it is cut"]
    finally:
        await lab.cluster.mend([end])
    answer = await kept
    assert answer["text"] == "store"
    assert answer["ms"] >= 900
    dropped = (await lab.cluster.traffic())[end.name].dropped_packets
    assert (dropped > before[end.name].dropped_packets) == lab.traits.drops_packets


async def test_cutting_twice_and_mending_once_leaves_no_rule(lab: Tiny) -> None:
    """A rule added twice and removed once would leave a partition."""
    ends = [lab.end("store"), lab.end("cache")]
    await lab.cluster.cut(ends[:1])
    await lab.cluster.cut(ends)
    await lab.cluster.mend(ends[:1])
    assert await lab.cluster.residue() == [f"{ends[1].name}: it is cut"]
    assert (await lab.ask("/new/store"))["text"] == "store"
    await lab.cluster.mend(ends)
    await lab.cluster.mend(ends)
    assert await lab.cluster.residue() == []


async def test_a_cut_is_in_force_in_time(lab: Tiny) -> None:
    """Within the 20 ms that a fault may be late, on a machine that is not overloaded."""
    took_s = []
    for _ in range(7):
        began_s = time.monotonic()
        await lab.cluster.cut([lab.end("store")])
        took_s.append(time.monotonic() - began_s)
        await lab.cluster.mend([lab.end("store")])
    print(f"cuts took {', '.join(f'{s * 1000:.1f} ms' for s in took_s)}")
    assert min(took_s) < CUT_WITHIN_S


async def test_a_black_hole_connects_and_is_silent(lab: Tiny) -> None:
    """Toxiproxy's timeout toxic swallows bytes; the connection itself is made."""
    end = lab.end("store")
    await lab.cluster.proxies.add(end.proxy, Toxic("hole", "timeout", "downstream", {"timeout": 0}))
    try:
        probe = await lab.cluster.probe(end, 0.4)
        assert probe.outcome == "silent"
        assert probe.connect_s is not None
    finally:
        await lab.cluster.proxies.remove(end.proxy, "hole")


async def test_a_killed_server_refuses_at_once_and_answers_when_started(lab: Tiny) -> None:
    """Also through the proxy, which accepts before it dials; and at the address it had before."""
    assert isinstance(lab.cluster, Killable)
    end = lab.end("store")
    before = await lab.cluster.usage()
    await lab.cluster.kill(lab.store)
    try:
        state = await lab.cluster.state(lab.store)
        assert (state.status, state.exit_code) == ("exited", 137)
        probe = await lab.cluster.probe(end)
        assert probe.outcome == "refused"
        assert probe.seconds < 0.2
        assert (await lab.ask("/new/store"))["error"] == "ConnectionRefusedError"
        assert set(await lab.cluster.residue()) == {
            f"{end.name}: its proxy is disabled",
            f"{lab.store.name}: exited",
        }
        await lab.cluster.kill(lab.store)  # killing what is dead changes nothing
    finally:
        await lab.cluster.start(lab.store)
    assert (await lab.cluster.probe(end)).outcome == "answered"
    assert (await lab.ask("/new/store"))["text"] == "store"
    after = await lab.cluster.usage()
    assert after[lab.store.name].cpu_s > before[lab.store.name].cpu_s  # both lives


async def test_a_paused_server_accepts_and_says_nothing(lab: Tiny) -> None:
    """Its kernel still completes the handshake."""
    assert isinstance(lab.cluster, Pausable)
    end = lab.end("store")
    await lab.cluster.pause(lab.store)
    try:
        assert (await lab.cluster.state(lab.store)).status == "paused"
        probe = await lab.cluster.probe(end, 0.4)
        assert probe.outcome == "silent"
        assert probe.connect_s is not None
        await lab.cluster.pause(lab.store)
        assert await lab.cluster.residue() == [f"{lab.store.name}: paused"]
    finally:
        await lab.cluster.resume(lab.store)
    await lab.cluster.resume(lab.store)
    assert (await lab.ask("/new/store"))["text"] == "store"


async def test_a_death_that_nobody_ordered_is_told_and_ordered_ones_are_not(lab: Tiny) -> None:
    """What ends by itself must show in the history; a fault's own kill is no surprise."""
    await lab.cluster.kill(lab.store)
    await lab.cluster.start(lab.store)
    deaths = lab.cluster.deaths()
    await lab.end_by_itself(lab.store)
    name, why = await asyncio.wait_for(anext(deaths), 5)
    assert (name, why) == (lab.store.name, "exit code 5")
    await _until_refused(lab)
    await lab.cluster.start(lab.store)


async def _until_refused(lab: Tiny) -> None:
    async with asyncio.timeout(5):
        while (await lab.cluster.probe(lab.end("store"))).outcome != "refused":  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_usage_is_read_quickly_and_names_every_part(lab: Tiny) -> None:
    """CPU-seconds rise; memory is between nothing and the limit."""
    began_s = time.monotonic()
    usage = await lab.cluster.usage()
    assert time.monotonic() - began_s < 2.0
    assert {*lab.traits.parts, "tiny/app-1", "other-1"} <= set(usage)
    app = usage["tiny/app-1"]
    assert 0 < app.memory_bytes <= app.memory_peak_bytes <= 128 << 20
    async with asyncio.timeout(10):  # a system that counts in ticks of 10 ms takes a while
        while (await lab.cluster.usage())["tiny/app-1"].cpu_s <= app.cpu_s:
            await lab.ask("/new/store")


async def test_metrics_of_instances_and_of_the_lab_are_scraped_every_second(lab: Tiny) -> None:
    """With the labels that the report needs, and the values that were exposed."""
    await lab.cluster.publish('lab_test{design="tiny"} 42\n')
    async with asyncio.timeout(15):
        while True:
            now_s = time.time()
            samples = await lab.cluster.samples(now_s - 60, now_s, ["lab_test", "tiny_up"])
            own = [s for s in samples if s.name == "lab_test"]
            app = [s for s in samples if s.name == "tiny_up"]
            if own and len(app) >= 3:
                break
            await asyncio.sleep(0.2)
    assert (own[0].design, own[0].instance, own[0].value) == ("tiny", "lab", 42.0)
    assert (app[0].design, app[0].instance, app[0].value) == ("tiny", "tiny/app-1", 1.0)
    assert app[1].at_s - app[0].at_s == pytest.approx(1.0, abs=0.3)


async def test_versions_name_the_real_parts(lab: Tiny) -> None:
    """The report says what it measured with."""
    versions = await lab.cluster.versions()
    for part, version in lab.traits.versions.items():
        assert versions[part].startswith(version)
