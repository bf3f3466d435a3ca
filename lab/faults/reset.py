"""`reset`: connections over a link are reset, those that are open and those that come.

What a crashed peer or a firewall that lost its state looks like: "connection reset by peer". Open
connections are reset at once, idle ones as well; new ones as soon as they carry a byte (Toxiproxy's
`reset_peer` toxic). On Docker the kernel resets the open ones (SOCK_DESTROY); where it cannot, they
are closed when they next carry a byte.
"""

from __future__ import annotations

from typing import ClassVar

from lab.engines import Cluster, Resettable
from lab.faults.base import Observation, probe_all, summary
from lab.faults.toxic import ToxicFault
from lab.proxies import Toxic


class Reset(ToxicFault):
    """Connections over a link are reset, open ones at once, new ones with their first byte."""

    kind: ClassVar[str] = "reset"
    needs: ClassVar[tuple[type, ...]] = (Resettable,)

    def describe(self) -> str:
        """`connections reset on app -> db`."""
        return f"connections reset on {self.link}"

    def toxics(self) -> tuple[Toxic, ...]:
        """One for both sides; it acts on the first byte of a request."""
        return (Toxic(self.called("upstream"), "reset_peer", "upstream", {"timeout": 0}),)

    async def inject(self, cluster: Cluster) -> None:
        """Reset what comes, then what is open."""
        assert isinstance(cluster, Resettable)  # noqa: S101 - `needs` was checked before
        await super().inject(cluster)
        await cluster.reset(self.ends(cluster.deployment))

    async def observe(self, cluster: Cluster) -> Observation:
        """In effect when a connection is reset before it answers."""
        probes = await probe_all(cluster, self.ends(cluster.deployment))
        cut_off = (probe.outcome in ("reset", "closed") for probe in probes)
        return Observation.of(cut_off, summary(probes))
