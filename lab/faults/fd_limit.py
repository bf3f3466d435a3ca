"""`fd_limit`: a service may have few files open, connections among them (RLIMIT_NOFILE, soft).

What is open stays open; the next `accept`, `connect` or `open` fails with EMFILE. Clients see
connections that the kernel takes and nobody answers.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from pydantic import Field

from lab.engines import Cluster, FileLimitable
from lab.faults.base import Observation, ServiceFault
from lab.units import format_count


class FdLimit(ServiceFault):
    """No process of a service may have more files open; healing brings back what each one had.

    Processes started meanwhile get the limit within 20 ms. Only soft limits are changed, so a
    service that raises its own at its start is put down again, and hard limits stay.
    """

    kind: ClassVar[str] = "fd_limit"
    needs: ClassVar[tuple[type, ...]] = (FileLimitable,)
    why_needed: ClassVar[str] = "changing limits of processes that run takes Linux's prlimit"

    files: int = Field(
        ge=3, le=1_000_000, description="how many files one process may have open", examples=["32"]
    )

    def describe(self) -> str:
        """`app limited to 32 open files`."""
        return f"{self.service} limited to {format_count(self.files)} open files"

    async def prepare(self, cluster: Cluster) -> None:
        """A first look: what does the looking is started for it."""
        await self.observe(cluster)

    async def inject(self, cluster: Cluster) -> None:
        """Lower the limits of all processes."""
        assert isinstance(cluster, FileLimitable)  # noqa: S101 - `needs` was checked before
        instances = self.instances(cluster.deployment)
        await asyncio.gather(*(cluster.limit_files(i, self.files) for i in instances))

    async def heal(self, cluster: Cluster) -> None:
        """Bring back what each process had."""
        assert isinstance(cluster, FileLimitable)  # noqa: S101 - `needs` was checked before
        instances = self.instances(cluster.deployment)
        await asyncio.gather(*(cluster.unlimit_files(i) for i in instances))

    async def observe(self, cluster: Cluster) -> Observation:
        """In effect when the kernel lets no process of it have more open."""
        assert isinstance(cluster, FileLimitable)  # noqa: S101 - `needs` was checked before
        instances = self.instances(cluster.deployment)
        found = await asyncio.gather(*(cluster.file_limits(i) for i in instances))
        limits = [one for of_instance in found for one in of_instance]
        if not limits:
            return Observation(in_effect=False, gone=bool(instances), text="down")
        least, most = min(one.soft for one in limits), max(one.soft for one in limits)
        limit = format_count(least) if least == most else f"{format_count(least)} to {most:,}"
        text = f"at most {limit} open files, {max(one.opened for one in limits)} open"
        return Observation(
            in_effect=all(found) and most <= self.files,
            gone=all(one.soft != self.files for one in limits),
            text=text,
        )
