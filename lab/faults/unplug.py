"""`unplug`: the network cable of a service is pulled; it runs on, alone.

        everybody ──✕──▶ service, and its packets to anybody ──✕──▶

No packet of it passes in or out, whatever the protocol and whether or not there is a link: that is
what `partition`, which cuts links, cannot do. Its own loopback works. What looks on is spared, as
if by a cable of its own: scrapes of its metrics, and the lab's orders to it (docs/engines.md). A
service that starts again is unplugged again, about half a second later, when it has its network.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from lab.engines import Cluster, Unpluggable
from lab.faults.base import PROBE_TIMEOUT_S, Observation, ServiceFault
from lab.faults.packets import owner_of
from lab.plan import Deployment


class Unplug(ServiceFault):
    """No packet reaches a service or leaves it; on healing, connections go on or time out."""

    kind: ClassVar[str] = "unplug"
    needs: ClassVar[tuple[type, ...]] = (Unpluggable,)
    why_needed: ClassVar[str] = "processes without rights share the network of their machine"

    def describe(self) -> str:
        """`network of db-1 unplugged`."""
        return f"network of {self.service} unplugged"

    def places(self, deployment: Deployment) -> set[tuple[str, str]]:
        """Its targets, in its own name: others may pull the same, and each puts back its own."""
        return {(target, owner_of(self)) for target in self.targets(deployment)}

    async def prepare(self, cluster: Cluster) -> None:
        """A first look: what will pull the cables is started for it."""
        assert isinstance(cluster, Unpluggable)  # noqa: S101 - `needs` was checked before
        await asyncio.gather(*(cluster.unplugged(i) for i in self.instances(cluster.deployment)))

    async def inject(self, cluster: Cluster) -> None:
        """Pull the cables."""
        assert isinstance(cluster, Unpluggable)  # noqa: S101 - `needs` was checked before
        pulls = (cluster.unplug(i, owner_of(self)) for i in self.instances(cluster.deployment))
        await asyncio.gather(*pulls)

    async def heal(self, cluster: Cluster) -> None:
        """Put them back."""
        assert isinstance(cluster, Unpluggable)  # noqa: S101 - `needs` was checked before
        plugs = (cluster.plug(i, owner_of(self)) for i in self.instances(cluster.deployment))
        await asyncio.gather(*plugs)

    async def observe(self, cluster: Cluster) -> Observation:
        """In effect when it drops packets, and neither an echo nor a port is answered.

        Gone when it drops none, and an answer comes unless another fault keeps it.
        """
        assert isinstance(cluster, Unpluggable)  # noqa: S101 - `needs` was checked before
        instances = self.instances(cluster.deployment)
        whys, reached, states = await asyncio.gather(
            asyncio.gather(*(cluster.unplugged(i) for i in instances)),
            asyncio.gather(*(cluster.reaches(i, PROBE_TIMEOUT_S) for i in instances)),
            asyncio.gather(*(cluster.state(i) for i in instances)),
        )
        seen, gone = [], []
        for names, answers, state in zip(whys, reached, states, strict=True):
            ours = owner_of(self) in names
            seen.append(ours and not answers)
            gone.append(not ours and (answers or bool(names) or state.status != "running"))
        words = sorted({"answers" if answers else "no answer" for answers in reached})
        return Observation(bool(seen) and all(seen), bool(gone) and all(gone), " or ".join(words))
