"""Full disks and slow ones, of containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.engines import DiskLimits, DiskSpeed, Room
from lab.plan import Instance

if TYPE_CHECKING:
    from lab.engines.docker.daemon import Daemon
    from lab.engines.docker.deaths import Deaths
    from lab.engines.docker.handles import Handles

_SLOWEST_S = 15.0
"""How long trying a disk may take, beside what the service itself writes."""


class FullDisks:
    """`lab.engines.DiskFillable`, for containers."""

    _handles: Handles
    _deaths: Deaths | None

    if TYPE_CHECKING:

        async def start(self, instance: Instance) -> None:
            """Start an instance that has ended."""

    async def room(self, instance: Instance, path: str, wanted_bytes: int) -> Room | None:
        """Looked at and tried from beside the container."""
        assert self._handles.insider  # noqa: S101 - made with the cluster
        found = await self._handles.insider.order(
            "room", instance, path=path, wanted_bytes=wanted_bytes
        )
        return Room(**found) if found else None

    async def fill_disk(self, instance: Instance, path: str, free_bytes: int) -> None:
        """By a file without a name, which the kernel removes when whoever holds it has ended."""
        assert self._handles.insider  # noqa: S101 - made with the cluster
        if self._deaths:
            self._deaths.excused.add(instance.name)
        await self._handles.insider.order("fill", instance, path=path, free_bytes=free_bytes)

    async def empty_disk(self, instance: Instance, path: str) -> None:
        """Give it back; what ended by itself meanwhile is started again."""
        assert self._handles.insider  # noqa: S101 - made with the cluster
        await self._handles.insider.order("empty", instance, path=path)
        if self._deaths:
            self._deaths.excused.discard(instance.name)
            if instance.name in self._deaths.fallen:
                await self.start(instance)


class SlowDisks:
    """`lab.engines.DiskThrottleable`, for containers."""

    _handles: Handles
    _daemon: Daemon

    async def disk_limits(self, instance: Instance, path: str) -> DiskLimits | None:
        """What the container's cgroup says."""
        assert self._handles.insider  # noqa: S101 - made with the cluster
        found = await self._handles.insider.order("disk", instance, path=path)
        if not found:
            return None
        info = await self._daemon.call(self._daemon.api.info)
        if info["OperatingSystem"] == "Docker Desktop":
            found["why_not"] = "the disk of Docker Desktop is a file of its virtual machine"
        return DiskLimits(**found)

    async def disk_speed(self, instance: Instance, path: str, within_s: float) -> DiskSpeed | None:
        """Tried by a process that joins the container's cgroup."""
        assert self._handles.insider  # noqa: S101 - made with the cluster
        found = await self._handles.insider.order(
            "speed", instance, path=path, within_s=within_s, timeout_s=_SLOWEST_S
        )
        return DiskSpeed(**found) if found else None

    async def limit_disk(
        self, instance: Instance, path: str, write: int | None, read: int | None
    ) -> None:
        """Written into the container's cgroup, again after every start of it."""
        assert self._handles.insider  # noqa: S101 - made with the cluster
        await self._handles.insider.order("throttle", instance, path=path, write=write, read=read)

    async def unlimit_disk(self, instance: Instance, path: str) -> None:
        """Taken out of it."""
        assert self._handles.insider  # noqa: S101 - made with the cluster
        await self._handles.insider.order("unthrottle", instance, path=path)
