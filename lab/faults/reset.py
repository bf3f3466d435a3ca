"""`reset`: connections over a link are reset as soon as they carry a byte (`reset_peer` toxic).

What a crashed peer or a firewall that lost its state looks like: "connection reset by peer".
Toxiproxy resets only connections opened after the toxic was added (`SetLinger(0)` is set at their
start), so injecting first closes the ones that are open.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from lab.engines import Cluster
from lab.faults.base import LinkFault, Observation, probe_all, summary
from lab.plan import LinkEnd
from lab.proxies import Toxic

_TOXIC = Toxic("lab-reset", "reset_peer", "upstream", {"timeout": 0})


class Reset(LinkFault):
    """Connections over a link are reset; ones that were open are closed first."""

    kind: ClassVar[str] = "reset"

    def describe(self) -> str:
        """`connections reset on app -> db`."""
        return f"connections reset on {self.link}"

    async def inject(self, cluster: Cluster) -> None:
        """Close what is open, reset what comes."""
        await asyncio.gather(*(_reset(cluster, end) for end in self.ends(cluster.deployment)))

    async def heal(self, cluster: Cluster) -> None:
        """Let connections live again."""
        ends = self.ends(cluster.deployment)
        await asyncio.gather(*(_restore(cluster, end) for end in ends))

    async def observe(self, cluster: Cluster) -> Observation:
        """In effect when a connection is reset before it answers."""
        probes = await probe_all(cluster, self.ends(cluster.deployment))
        cut_off = (probe.outcome in ("reset", "closed") for probe in probes)
        return Observation.of(cut_off, summary(probes))


async def _reset(cluster: Cluster, end: LinkEnd) -> None:
    await cluster.proxies.set_enabled(end.proxy, False)
    await cluster.proxies.add(end.proxy, _TOXIC)
    await cluster.proxies.set_enabled(end.proxy, True)


async def _restore(cluster: Cluster, end: LinkEnd) -> None:
    await cluster.proxies.remove(end.proxy, _TOXIC.name)
    await cluster.proxies.set_enabled(end.proxy, True)
