"""Wall clocks of containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.engines import WallClock
from lab.plan import Instance

if TYPE_CHECKING:
    from lab.engines.docker.handles import Handles


class Clocks:
    """`lab.engines.Skewable`, for containers."""

    _handles: Handles

    async def clock(self, instance: Instance) -> WallClock | None:
        """As a process with its files and its environment reads it."""
        assert self._handles.insider  # noqa: S101 - made with the cluster
        found = await self._handles.insider.order("clock", instance)
        return WallClock(**found) if found else None

    async def set_clock(self, instance: Instance, by_s: float) -> None:
        """By the file that its libfaketime reads at every question."""
        assert self._handles.insider  # noqa: S101 - made with the cluster
        await self._handles.insider.order("set_clock", instance, by_s=by_s)
