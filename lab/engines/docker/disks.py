"""Full disks of containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.engines import Room
from lab.plan import Instance

if TYPE_CHECKING:
    from lab.engines.docker.cluster import Handles
    from lab.engines.docker.deaths import Deaths


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
