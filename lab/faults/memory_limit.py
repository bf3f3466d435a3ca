"""`memory_limit`: a service gets less memory; the kernel kills what needs more (a real OOM kill).

The kernel first takes back the page cache, then kills. On cgroup v2 a limit below what is in use
kills at once; cgroup v1 refuses such a limit, so write a little more than the service uses at rest
and let the load do the rest.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from pydantic import Field

from lab.engines import Cluster, Killable, MemoryLimitable
from lab.faults.base import Observation, ServiceFault
from lab.plan import Instance
from lab.units import Bytes, format_size

_PAGE_BYTES = 65536
"""The largest page of a usual kernel: limits are rounded to whole ones."""


class MemoryLimit(ServiceFault):
    """A service may use so much memory and is killed beyond; healing starts it again.

    A death under this fault is its effect, not a surprise. A restart policy is obeyed.
    """

    kind: ClassVar[str] = "memory_limit"
    needs: ClassVar[tuple[type, ...]] = (MemoryLimitable, Killable)
    why_needed: ClassVar[str] = "a limit on memory needs a cgroup of its own around the service"

    memory: Bytes = Field(
        ge=6 << 20, description="how much, page cache and swap included", examples=["64MiB"]
    )

    def describe(self) -> str:
        """`app limited to 64 MiB of memory`."""
        return f"{self.service} limited to {format_size(self.memory)} of memory"

    async def inject(self, cluster: Cluster) -> None:
        """Lower (or raise) the limit."""
        assert isinstance(cluster, MemoryLimitable)  # noqa: S101 - `needs` was checked before
        instances = self.instances(cluster.deployment)
        await asyncio.gather(*(cluster.limit_memory(i, self.memory) for i in instances))

    async def heal(self, cluster: Cluster) -> None:
        """Bring back what the topology says, and start what was killed for its memory."""
        await asyncio.gather(*(_restore(cluster, i) for i in self.instances(cluster.deployment)))

    async def observe(self, cluster: Cluster) -> Observation:
        """In effect when the kernel enforces this limit, or has killed for it."""
        assert isinstance(cluster, MemoryLimitable)  # noqa: S101 - `needs` was checked before
        instances = self.instances(cluster.deployment)
        seen, words = [], set()
        for instance in instances:
            state, limits = await cluster.state(instance), await cluster.limits(instance)
            found = limits.memory_bytes
            killed = state.status == "exited" and state.oom_killed
            seen.append(killed or _same(found, self.memory))
            words.add("no limit" if found is None else format_size(found))
            if killed:
                words.add("killed: out of memory")
        return Observation.of(seen, ", ".join(sorted(words)))


async def _restore(cluster: Cluster, instance: Instance) -> None:
    assert isinstance(cluster, MemoryLimitable)  # noqa: S101 - `needs` was checked before
    assert isinstance(cluster, Killable)  # noqa: S101 - `needs` was checked before
    await cluster.limit_memory(instance, instance.service.memory_bytes)
    state = await cluster.state(instance)
    if state.status == "exited" and state.oom_killed:
        await cluster.start(instance)


def _same(found: int | None, wanted: int) -> bool:
    return found is not None and abs(found - wanted) <= _PAGE_BYTES
