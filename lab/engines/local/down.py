"""Taking a run down: nothing of it survives, whatever went wrong before."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable
from typing import TYPE_CHECKING

from lab.engines import Say
from lab.engines.remains import tell
from lab.errors import LabError

if TYPE_CHECKING:
    from lab.engines.local.up import BringUp


async def take_down(bringing: BringUp, say: Say) -> None:
    """Undo a bring-up as far as it came; a second cancellation leaves the rest to the supervisor.

    Raises:
        EngineError: something is left, and nothing else is already being raised.
    """
    failing = sys.exc_info()[0] is not None
    troubles = await asyncio.shield(asyncio.ensure_future(_Down(bringing).run()))
    tell(bringing.wanted.run_id, troubles, say, failing=failing)


class _Down:
    """One take-down; troubles are gathered and none stops the rest."""

    def __init__(self, bringing: BringUp) -> None:
        self._bringing = bringing
        self._troubles: list[str] = []

    async def run(self) -> list[str]:
        """All of it; what went wrong, in words."""
        bringing = self._bringing
        if bringing.cluster:
            await self._try("watching", bringing.cluster.stop_watching())
        await asyncio.gather(
            *(self._try(name, pipe.close()) for name, pipe in bringing.handles.pipes.items())
        )
        if bringing.proxies:
            bringing.proxies.close()
        if bringing.supervisor:
            if bringing.wanted.keep and bringing.cluster:
                await self._try("keeping", bringing.supervisor.keep())
            else:
                await self._try("processes", self._stop())
            await self._try("supervisor", bringing.supervisor.close())
        bringing.claim.close()
        return self._troubles

    async def _stop(self) -> None:
        """End every process and remove the folder."""
        assert self._bringing.supervisor  # noqa: S101 - looked at before
        self._troubles += await self._bringing.supervisor.stop()

    async def _try(self, what: str, work: Awaitable[object]) -> None:
        try:
            await work
        except (LabError, OSError) as error:
            self._troubles.append(f"{what}: {error}")
