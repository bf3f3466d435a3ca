"""Limits on the files that processes of instances may have open."""

from __future__ import annotations

from lab.engines import FileLimits
from lab.engines.local.supervised import Supervisor
from lab.plan import Deployment, Instance


class FewFiles:
    """`lab.engines.FileLimitable`, for processes here."""

    deployment: Deployment
    _supervisor: Supervisor
    _limited_files: dict[str, int]
    """Instances that ever had a limit of the lab's, for a look at what is left."""

    async def file_limits(self, instance: Instance) -> list[FileLimits]:
        """Read by the supervisor."""
        return await self._supervisor.file_limits(instance.name)

    async def limit_files(self, instance: Instance, files: int) -> None:
        """Changed by the supervisor, again after every start."""
        self._limited_files[instance.name] = files
        await self._supervisor.limit_files(instance.name, files)

    async def unlimit_files(self, instance: Instance) -> None:
        """As it was, process by process."""
        await self._supervisor.unlimit_files(instance.name)

    async def still_limited(self) -> list[str]:
        """Processes whose limit is still the lab's, in words."""
        return [
            f"{name}: process {one.pid} may have only {files} files open"
            for name, files in self._limited_files.items()
            for one in await self._supervisor.file_limits(name)
            if one.soft == files
        ]
