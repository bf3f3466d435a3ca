"""`slow_disk`: a service writes or reads only so much per second, as on a worn or shared disk.

The kernel throttles what the service's processes hand to the device: writes that wait for the disk
(fsync, direct) and reads that miss the page cache. On cgroup v1 a write that nobody waits for goes
to the page cache and is written back by the kernel, unthrottled; v2 throttles that as well.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from pydantic import Field

from lab.engines import Cluster, DiskSpeed, DiskThrottleable
from lab.errors import EngineError
from lab.faults.base import Observation, ServiceFault
from lab.units import BytesPerSecond, format_byte_rate, format_range

_TRY_S = 0.25
"""How long a look writes and reads: several of the kernel's slices of 100 ms (blk-throttle.c)."""

_SAME = 1.5
"""A speed within this factor of the limit is the limit's doing; the kernel lets short bursts by."""


class SlowDisk(ServiceFault):
    """The disk of a service is slow for it alone; healing takes the limits away.

    `path` is a folder on that disk, for services that keep their data on a volume.
    """

    kind: ClassVar[str] = "slow_disk"
    needs: ClassVar[tuple[type, ...]] = (DiskThrottleable,)
    why_needed: ClassVar[str] = "a slow disk needs a cgroup of its own around the service"

    write: BytesPerSecond = Field(ge=65536, description="how much it may write", examples=["1MB/s"])
    read: BytesPerSecond | None = Field(
        default=None, ge=65536, description="how much it may read", examples=["4MB/s"]
    )
    path: str = Field(
        default="/", pattern="^/", description="a folder on that disk", examples=["/data"]
    )

    @property
    def look_s(self) -> float:
        """Writing and reading on a disk that is not slow takes a moment, too."""
        return super().look_s + 2 * _TRY_S

    def describe(self) -> str:
        """`disk of db slow: writes 977 KiB/s`."""
        reads = f", reads {format_byte_rate(self.read)}" if self.read is not None else ""
        return f"disk of {self.service} slow: writes {format_byte_rate(self.write)}{reads}"

    async def prepare(self, cluster: Cluster) -> None:
        """Look whether the kernel limits the disk of every instance.

        Raises:
            EngineError: it does not, with the reason.
        """
        assert isinstance(cluster, DiskThrottleable)  # noqa: S101 - `needs` was checked before
        for instance in self.instances(cluster.deployment):
            limits = await cluster.disk_limits(instance, self.path)
            if limits and limits.why_not:
                raise EngineError(f"{self.describe()}: {limits.why_not}")

    async def inject(self, cluster: Cluster) -> None:
        """Set the limits."""
        assert isinstance(cluster, DiskThrottleable)  # noqa: S101 - `needs` was checked before
        await asyncio.gather(
            *(
                cluster.limit_disk(instance, self.path, self.write, self.read)
                for instance in self.instances(cluster.deployment)
            )
        )

    async def heal(self, cluster: Cluster) -> None:
        """Take them away."""
        assert isinstance(cluster, DiskThrottleable)  # noqa: S101 - `needs` was checked before
        instances = self.instances(cluster.deployment)
        await asyncio.gather(*(cluster.unlimit_disk(i, self.path) for i in instances))

    async def observe(self, cluster: Cluster) -> Observation:
        """In effect when a write with fsync, or a direct read, in its cgroup is as slow."""
        assert isinstance(cluster, DiskThrottleable)  # noqa: S101 - `needs` was checked before
        instances = self.instances(cluster.deployment)
        speeds = await asyncio.gather(
            *(cluster.disk_speed(i, self.path, _TRY_S) for i in instances)
        )
        slow = [[found <= limit * _SAME for found, limit in self._both(s)] for s in speeds]
        return Observation(
            in_effect=bool(slow) and all(ways and all(ways) for ways in slow),
            gone=bool(slow) and not any(any(ways) for ways in slow),
            text=self._words([speed for speed in speeds if speed is not None]),
        )

    def _both(self, speed: DiskSpeed | None) -> list[tuple[float, int]]:
        """Found and wanted bytes per second, of the ways that are limited."""
        if speed is None:
            return []
        pairs = [(speed.write, self.write), (speed.read, self.read)]
        return [(found, limit) for found, limit in pairs if limit is not None]

    def _words(self, speeds: list[DiskSpeed]) -> str:
        if not speeds:
            return "down"
        wrote = f"wrote {format_range([speed.write for speed in speeds], format_byte_rate)}"
        read = f"read {format_range([speed.read for speed in speeds], format_byte_rate)}"
        return f"{wrote}, {read}" if self.read is not None else wrote
