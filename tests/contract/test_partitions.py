"""Every shape of a partition on every engine, measured by four nodes that all know each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from lab.engines import Cluster
from lab.faults.partition import Partition
from tests.contract import mesh
from tests.contract.engines import ENGINES, up_on
from tests.contract.mesh import apart, ask, deaf

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHAPES: dict[str, tuple[dict[str, Any], set[mesh.Pair]]] = {
    "between two": ({"between": ["node-1", "node-2"]}, apart((1, 2))),
    "between one and a pattern": (
        {"between": ["node-4", "node-[12]"]},
        apart((1, 4), (2, 4)),
    ),
    "one way": ({"between": ["node-1", "node-2"], "one_way": True}, apart((1, 2))),
    "overlapping groups": (
        {"groups": [["node-1", "node-2"], ["node-2", "node-3"]]},
        apart((1, 3)),
    ),
    "majority and minority": (
        {"groups": [["node-1", "node-2"], ["node-3", "node-4"]]},
        apart((1, 3), (1, 4), (2, 3), (2, 4)),
    ),
    "isolated": ({"isolate": "node-3"}, apart((1, 3), (2, 3), (3, 4))),
    "ring": ({"ring": list(mesh.NODES)}, apart((1, 3), (2, 4))),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=ENGINES)
async def cluster(request: pytest.FixtureRequest, tmp_path_factory: Any) -> AsyncIterator[Cluster]:
    """The mesh, up once for all shapes."""
    async with up_on(request.param, mesh.deployment(), tmp_path_factory.mktemp("run")) as found:
        yield found


@pytest.mark.parametrize("shape", sorted(SHAPES))
async def test_exactly_those_no_longer_hear_each_other(cluster: Cluster, shape: str) -> None:
    """The nodes themselves say who answers: before, during and after."""
    settings, wanted = SHAPES[shape]
    fault = Partition.model_validate(settings)
    before = await fault.observe(cluster)
    assert before.gone, before.text
    assert await deaf(cluster) == set()
    try:
        await fault.inject(cluster)
        await fault.inject(cluster)
        during = await fault.observe(cluster)
        assert during.in_effect, during.text
        assert not during.gone
        assert await deaf(cluster) == wanted
        left = {text.partition(":")[0] for text in await cluster.residue()}
        assert left == {name.partition(":")[0] for name in fault.targets(cluster.deployment)}
    finally:
        await fault.heal(cluster)
        await fault.heal(cluster)
    after = await fault.observe(cluster)
    assert after.gone, after.text
    assert not after.in_effect
    assert await deaf(cluster) == set()
    assert await cluster.residue() == []


async def test_one_way_bytes_of_open_connections_still_pass_the_other_way(
    cluster: Cluster,
) -> None:
    """Node 2 hears nothing of node 1 on either one's connections; node 1 hears node 2 on both.

    With real packets only a window of bytes, as nobody hears that they arrived: so it is measured
    from the moment of the cut on.
    """
    await ask(cluster, "node-1", "/talk/node-2")
    await ask(cluster, "node-2", "/talk/node-1")
    await growing(cluster, "node-1", "pushed", "streamed")
    await growing(cluster, "node-2", "pushed", "streamed")
    fault = Partition.model_validate({"between": ["node-1", "node-2"], "one_way": True})
    await fault.inject(cluster)
    try:
        at_the_cut = await ask(cluster, "node-1", "/heard")
        still = await settled(cluster, "node-2")
        await growing(cluster, "node-1", "pushed", "streamed", since=at_the_cut)
        assert await ask(cluster, "node-2", "/heard") == still
    finally:
        await fault.heal(cluster)
    await growing(cluster, "node-1", "pushed", "streamed")
    await growing(cluster, "node-2", "pushed", "streamed")


async def test_both_ways_are_cut_and_mended_apart(cluster: Cluster) -> None:
    """Two one-way partitions of the same two nodes overlap, and heal each alone."""
    there, back = (
        Partition.model_validate({"between": sides, "one_way": True})
        for sides in (["node-1", "node-2"], ["node-2", "node-1"])
    )
    try:
        await there.inject(cluster)
        assert (await back.observe(cluster)).gone
        await back.inject(cluster)
        assert (await back.observe(cluster)).in_effect
        await there.heal(cluster)
        assert (await there.observe(cluster)).gone
        assert (await back.observe(cluster)).in_effect
        assert await deaf(cluster) == apart((1, 2))
    finally:
        await there.heal(cluster)
        await back.heal(cluster)
    assert await deaf(cluster) == set()
    assert await cluster.residue() == []


@pytest.mark.parametrize("first", [0, 1])
async def test_partitions_that_share_a_link_heal_each_alone(cluster: Cluster, first: int) -> None:
    """Packets pass again between two nodes when nobody keeps them apart any more."""
    between = Partition.model_validate({"between": ["node-1", "node-2"]})
    isolated = Partition.model_validate({"isolate": "node-1"})
    faults = [between, isolated]
    kept = {0: apart((1, 2), (1, 3), (1, 4)), 1: apart((1, 2))}[first]
    try:
        for fault in (*faults, *faults):
            await fault.inject(cluster)
        assert all([(await fault.observe(cluster)).in_effect for fault in faults])
        assert await deaf(cluster) == apart((1, 2), (1, 3), (1, 4))
        ended, other = faults[first], faults[1 - first]
        for _ in range(2):
            await ended.heal(cluster)
        seen = await ended.observe(cluster)
        assert seen.gone, seen.text
        assert (await other.observe(cluster)).in_effect
        assert await deaf(cluster) == kept
    finally:
        for fault in faults:
            await fault.heal(cluster)
    assert all([(await fault.observe(cluster)).gone for fault in faults])
    assert await deaf(cluster) == set()
    assert await cluster.residue() == []


async def growing(
    cluster: Cluster, node: str, *ways: str, since: dict[str, int] | None = None
) -> None:
    """Wait until more bytes have arrived at a node than `since` (now), in each of these ways."""
    began = since or await ask(cluster, node, "/heard")
    async with asyncio.timeout(15):
        while True:
            now = await ask(cluster, node, "/heard")
            if all(now.get(way, 0) >= began.get(way, 0) + 3 for way in ways):
                return
            await asyncio.sleep(0.05)


async def settled(cluster: Cluster, node: str) -> dict[str, int]:
    """Wait until nothing more arrives at a node for as long as ten bytes take."""
    before: dict[str, int] = {}
    async with asyncio.timeout(5):
        while (now := await ask(cluster, node, "/heard")) != before:
            before = now
            await asyncio.sleep(0.2)
    return before
