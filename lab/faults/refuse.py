"""`refuse`: a link refuses connections and closes the ones it has (Toxiproxy proxy disabled).

What a client sees of a service that is not running on a host that is: an immediate, honest no.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from lab.engines import Cluster
from lab.faults.base import LinkFault, Observation, probe_all, summary


class Refuse(LinkFault):
    """Connections over a link are refused at once; established ones are closed."""

    kind: ClassVar[str] = "refuse"

    def describe(self) -> str:
        """`connections refused on app -> db`."""
        return f"connections refused on {self.link}"

    async def inject(self, cluster: Cluster) -> None:
        """Disable the proxies."""
        await self._enable(cluster, enabled=False)

    async def heal(self, cluster: Cluster) -> None:
        """Enable the proxies."""
        await self._enable(cluster, enabled=True)

    async def _enable(self, cluster: Cluster, *, enabled: bool) -> None:
        ends = self.ends(cluster.deployment)
        await asyncio.gather(
            *(cluster.proxies.set_enabled(e.proxy, enabled, self.kind) for e in ends)
        )

    async def observe(self, cluster: Cluster) -> Observation:
        """In effect when connecting is refused."""
        probes = await probe_all(cluster, self.ends(cluster.deployment))
        return Observation.of((p.outcome == "refused" for p in probes), summary(probes))
