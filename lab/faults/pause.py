"""`pause`: a service freezes whole, as in a long garbage collection or a stuck hypervisor.

Its kernel still completes TCP handshakes, so a check that only connects sees a healthy server.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from lab.engines import Cluster, Pausable
from lab.faults.base import Observation, ServiceFault


class Pause(ServiceFault):
    """Every process of a service stands still; healing lets it go on as if nothing had been."""

    kind: ClassVar[str] = "pause"
    needs: ClassVar[tuple[type, ...]] = (Pausable,)

    def describe(self) -> str:
        """`pause of app-1`."""
        return f"pause of {self.service}"

    async def inject(self, cluster: Cluster) -> None:
        """Freeze."""
        assert isinstance(cluster, Pausable)  # noqa: S101 - `needs` was checked before
        await asyncio.gather(*(cluster.pause(i) for i in self.instances(cluster.deployment)))

    async def heal(self, cluster: Cluster) -> None:
        """Go on."""
        assert isinstance(cluster, Pausable)  # noqa: S101 - `needs` was checked before
        await asyncio.gather(*(cluster.resume(i) for i in self.instances(cluster.deployment)))

    async def observe(self, cluster: Cluster) -> Observation:
        """In effect when the engine says so; the engine reads the freezer, not a flag of ours."""
        instances = self.instances(cluster.deployment)
        states = await asyncio.gather(*(cluster.state(i) for i in instances))
        words = sorted({state.status for state in states})
        return Observation.of((s.status == "paused" for s in states), ", ".join(words))
