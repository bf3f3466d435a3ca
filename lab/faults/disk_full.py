"""`disk_full`: the disk that a folder of a service is on has no room left (ENOSPC).

A file of the lab's takes the room; it has no name, and it grows again when the service deletes
something. Only a disk that belongs to the service alone and has a size can be filled: anything
else is the disk of your machine.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar, Self

from pydantic import Field, model_validator

from lab.engines import Cluster, DiskFillable, Room
from lab.errors import UsageError
from lab.faults.base import Observation, ServiceFault
from lab.units import Bytes, format_size

_MORE_BYTES = 64 << 10
"""What a look tries to take beyond `free`: several blocks of every usual file system."""

_SHARE_OF_MEMORY = 0.5
"""Disks in memory: filling one takes no more of what the machine has left."""


class DiskFull(ServiceFault):
    """A disk of a service is full but for `free`; healing gives the room back.

    A service that ends because of it is started again by healing, and its death is no surprise.
    """

    kind: ClassVar[str] = "disk_full"
    needs: ClassVar[tuple[type, ...]] = (DiskFillable,)
    why_needed: ClassVar[str] = "a full disk needs a file system that the service has alone"

    path: str = Field(pattern="^/", description="a folder on that disk", examples=["/dev/shm"])  # noqa: S108 - every container has that
    free: Bytes = Field(default=0, ge=0, description="how much room is left", examples=["1MiB"])

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.path.rstrip("/") == "":
            raise ValueError("`/` is the disk of this machine; name a folder that is a tmpfs")
        return self

    def describe(self) -> str:
        """`no room left at /data of db`."""
        left = f"only {format_size(self.free)}" if self.free else "no"
        return f"{left} room left at {self.path} of {self.service}"

    async def prepare(self, cluster: Cluster) -> None:
        """Look at the disk of every instance.

        Raises:
            UsageError: it must not be filled, or is smaller than what is to be left.
        """
        instances = self.instances(cluster.deployment)
        for instance, room in zip(instances, await self._rooms(cluster), strict=True):
            if room is None:
                raise UsageError(f"{self.describe()}: {instance.name} does not run")
            if room.why_not:
                name = instance.service.name
                raise UsageError(
                    f"{self.describe()}: on {instance.name}, {room.why_not}",
                    remedy=f"name a folder that is one, or give `{name}` a disk of its own in the "
                    "Compose file: "
                    f'tmpfs: ["{self.path}:size=64m"], or for data that a restart keeps a volume '
                    "with driver_opts: {type: tmpfs, device: tmpfs, o: size=64m}",
                )
            if room.total_bytes <= self.free:
                raise UsageError(
                    f"{self.describe()}: that disk has {format_size(room.total_bytes)} in all",
                    remedy="write a smaller `free`",
                )
            takes = room.free_bytes - self.free
            if takes > room.memory_bytes * _SHARE_OF_MEMORY:
                raise UsageError(
                    f"{self.describe()}: filling it takes {format_size(takes)} of memory, and the "
                    f"machine has {format_size(room.memory_bytes)} left",
                    remedy="write a smaller size into the Compose file",
                )

    async def inject(self, cluster: Cluster) -> None:
        """Take the room."""
        assert isinstance(cluster, DiskFillable)  # noqa: S101 - `needs` was checked before
        instances = self.instances(cluster.deployment)
        await asyncio.gather(*(cluster.fill_disk(i, self.path, self.free) for i in instances))

    async def heal(self, cluster: Cluster) -> None:
        """Give it back."""
        assert isinstance(cluster, DiskFillable)  # noqa: S101 - `needs` was checked before
        instances = self.instances(cluster.deployment)
        await asyncio.gather(*(cluster.empty_disk(i, self.path) for i in instances))

    async def observe(self, cluster: Cluster) -> Observation:
        """In effect when a file there cannot have a little more than `free` bytes: it is tried."""
        rooms = await self._rooms(cluster)
        words = sorted({_words(room) for room in rooms})
        full = (room is not None and not room.takes for room in rooms)
        return Observation.of(full, ", ".join(words))

    async def _rooms(self, cluster: Cluster) -> list[Room | None]:
        assert isinstance(cluster, DiskFillable)  # noqa: S101 - `needs` was checked before
        instances = self.instances(cluster.deployment)
        wanted = self.free + _MORE_BYTES
        return list(await asyncio.gather(*(cluster.room(i, self.path, wanted) for i in instances)))


def _words(room: Room | None) -> str:
    if room is None:
        return "down"
    took = "takes more" if room.takes else "no space left on device"
    return f"{format_size(room.free_bytes)} of {format_size(room.total_bytes)} free, {took}"
