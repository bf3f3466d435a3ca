"""`cpu_limit`: a service gets less CPU, as beside a noisy neighbour or under a tight quota.

The kernel lets it run for its share of every 100 ms and then stops it until the next 100 ms
begin: latency comes in steps of that.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from pydantic import Field

from lab.engines import Cluster, Throttleable
from lab.faults.base import Observation, ServiceFault
from lab.units import format_count


class CpuLimit(ServiceFault):
    """A service may use no more than so many CPUs; healing brings the topology's limit back."""

    kind: ClassVar[str] = "cpu_limit"
    needs: ClassVar[tuple[type, ...]] = (Throttleable,)
    why_needed: ClassVar[str] = "a limit on CPU needs a cgroup of its own around the service"

    cpus: float = Field(
        ge=0.01, le=1024, description="how many CPUs, in parts of one", examples=["0.2"]
    )

    def describe(self) -> str:
        """`app limited to 0.2 CPUs`."""
        return f"{self.service} limited to {format_count(self.cpus)} CPUs"

    async def inject(self, cluster: Cluster) -> None:
        """Lower (or raise) the limit."""
        assert isinstance(cluster, Throttleable)  # noqa: S101 - `needs` was checked before
        instances = self.instances(cluster.deployment)
        await asyncio.gather(*(cluster.limit_cpus(i, self.cpus) for i in instances))

    async def heal(self, cluster: Cluster) -> None:
        """Bring back what the topology says."""
        assert isinstance(cluster, Throttleable)  # noqa: S101 - `needs` was checked before
        instances = self.instances(cluster.deployment)
        await asyncio.gather(*(cluster.limit_cpus(i, i.service.cpus) for i in instances))

    async def observe(self, cluster: Cluster) -> Observation:
        """In effect when the quota that the kernel enforces is this one."""
        assert isinstance(cluster, Throttleable)  # noqa: S101 - `needs` was checked before
        instances = self.instances(cluster.deployment)
        found = [(await cluster.limits(i)).cpus for i in instances]
        words = sorted({"no limit" if c is None else f"{format_count(c)} CPUs" for c in found})
        return Observation.of(
            (cpus is not None and abs(cpus - self.cpus) < 0.005 for cpus in found),
            ", ".join(words),
        )
