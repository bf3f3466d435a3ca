"""`blackhole`: a link swallows every byte (Toxiproxy's `timeout` toxic with 0, both ways).

Connections open and stay open; nothing arrives. Healing closes them, because the bytes are gone
for good: for a silence that ends with the connection going on, use `partition`.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from lab.engines import Cluster
from lab.faults.base import LinkFault, Observation, probe_all, summary
from lab.proxies import Toxic

_TOXICS = tuple(
    Toxic(f"lab-blackhole-{stream}", "timeout", stream, {"timeout": 0})
    for stream in ("upstream", "downstream")
)


class Blackhole(LinkFault):
    """Bytes of a link are swallowed in both directions; connections close on healing."""

    kind: ClassVar[str] = "blackhole"

    def describe(self) -> str:
        """`black hole on app -> db`."""
        return f"black hole on {self.link}"

    async def inject(self, cluster: Cluster) -> None:
        """Swallow both directions of every end."""
        for toxic in _TOXICS:
            await asyncio.gather(
                *(cluster.proxies.add(e.proxy, toxic) for e in self.ends(cluster.deployment))
            )

    async def heal(self, cluster: Cluster) -> None:
        """Stop swallowing."""
        for toxic in _TOXICS:
            await asyncio.gather(
                *(
                    cluster.proxies.remove(e.proxy, toxic.name)
                    for e in self.ends(cluster.deployment)
                )
            )

    async def observe(self, cluster: Cluster) -> Observation:
        """In effect when connections open and nothing comes back."""
        probes = await probe_all(cluster, self.ends(cluster.deployment))
        return Observation.of((p.outcome == "silent" for p in probes), summary(probes))
