"""Limits on the files that processes of containers may have open."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.engines import FileLimits
from lab.plan import Instance

if TYPE_CHECKING:
    from lab.engines.docker.handles import Handles


class FewFiles:
    """`lab.engines.FileLimitable`, for containers."""

    _handles: Handles

    async def file_limits(self, instance: Instance) -> list[FileLimits]:
        """Read from beside the container."""
        assert self._handles.insider  # noqa: S101 - made with the cluster
        found = await self._handles.insider.order("file_limits", instance)
        return [FileLimits(*one) for one in found]

    async def limit_files(self, instance: Instance, files: int) -> None:
        """Changed from beside the container, again after every start of it."""
        assert self._handles.insider  # noqa: S101 - made with the cluster
        await self._handles.insider.order("limit_files", instance, files=files)

    async def unlimit_files(self, instance: Instance) -> None:
        """As it was, process by process."""
        assert self._handles.insider  # noqa: S101 - made with the cluster
        await self._handles.insider.order("unlimit_files", instance)
