"""Taking a run down: logs first, then everything with its label, whatever went wrong before."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from lab.engines import Say, interception
from lab.engines.docker.clean import clean, leftovers
from lab.engines.docker.parts import AGENT, CABLE, INSIDE
from lab.engines.remains import tell
from lab.errors import EngineError, LabError

if TYPE_CHECKING:
    from lab.engines.docker.up import BringUp

_SETTLE_S = 10.0


async def take_down(bringing: BringUp, say: Say) -> None:
    """Undo a bring-up as far as it came; a second cancellation leaves the rest to the reaper.

    Raises:
        EngineError: not everything could be removed, and nothing else is already being raised.
    """
    failing = sys.exc_info()[0] is not None
    task = asyncio.ensure_future(_Down(bringing).run())
    try:
        troubles = await asyncio.shield(task)
    except asyncio.CancelledError:
        if bringing.reaper:
            bringing.reaper.release()
        raise
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
            await self._try("events", bringing.cluster.stop_watching())
        stays = bringing.wanted.keep and bringing.cluster is not None
        if not stays:
            await self._try("logs", self._write_logs())
        await self._close()
        left = [] if stays else await self._remove()
        if bringing.reaper:
            if left:
                bringing.reaper.release()
            else:
                await self._try("reaper", asyncio.to_thread(bringing.reaper.dismiss))
        bringing.daemon.close()
        return self._troubles + left

    async def _close(self) -> None:
        """Let go of everything that is open; drivers and agent end with that."""
        bringing = self._bringing
        if bringing.agent:
            await self._try("agent", bringing.agent.close())
        if bringing.handles.insider:
            await self._try("helper", bringing.handles.insider.close())
        if bringing.interceptor:
            await self._try("interceptor", bringing.interceptor.close())
        closing = [asyncio.to_thread(d.close) for d in bringing.handles.drivers.values()]
        await asyncio.gather(*(self._try("driver", close) for close in closing))
        if bringing.proxies:
            bringing.proxies.close()
        if bringing.prometheus:
            await self._try("prometheus", bringing.prometheus.close())

    async def _remove(self) -> list[str]:
        """Remove everything, and again what was still being created meanwhile."""
        daemon, run_id = self._bringing.daemon, self._bringing.wanted.run_id
        try:
            troubles = await daemon.call(clean, daemon.client, run_id)
            await daemon.settle(_SETTLE_S)
            if await daemon.call(leftovers, daemon.client, run_id):
                troubles = await daemon.call(clean, daemon.client, run_id)
        except EngineError as error:
            return [error.message]
        return troubles

    async def _write_logs(self) -> None:
        """Each container's log into the run's folder; agent and drivers have written theirs."""
        handles = self._bringing.handles
        talking = {
            AGENT,
            INSIDE,
            interception.NAME,
            *(f"{design}/client" for design in handles.drivers),
        }
        quiet = [n for n in handles.containers if n not in talking and not n.startswith(CABLE)]
        await asyncio.gather(*(self._try(f"log of {n}", self._write_log(n)) for n in quiet))

    async def _write_log(self, name: str) -> None:
        bringing = self._bringing
        handles, daemon = bringing.handles, bringing.daemon
        raw = b""
        for container in (*handles.retired.get(name, ()), handles.containers[name]):
            said: Any = await daemon.call(
                daemon.api.logs, container, stdout=True, stderr=True, timestamps=True
            )
            raw += said
        path = bringing.logs / bringing.log_name(name)
        await asyncio.to_thread(path.write_bytes, raw)

    async def _try(self, what: str, work: Awaitable[object]) -> None:
        try:
            await work
        except (LabError, OSError) as error:
            self._troubles.append(f"{what}: {error}")
