"""The container that works on the processes of others (`lab.engines.inside`), and orders to it.

It is started when the first fault needs it, before any load, and then waits ready: it sees every
process of the daemon's machine, so no run has it that does not need it.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.engines.docker.daemon import Daemon
from lab.engines.docker.hands import Agent
from lab.engines.docker.parts import inside
from lab.engines.docker.setting import Setting
from lab.errors import EngineError
from lab.plan import Instance

if TYPE_CHECKING:
    from lab.engines.docker.handles import Handles


class Insider:
    """Orders to it, by instance."""

    def __init__(self, daemon: Daemon, setting: Setting, handles: Handles, logs: Path) -> None:
        self._daemon = daemon
        self._setting = setting
        self._handles = handles
        self._logs = logs
        self._agent: Agent | None = None
        self._starting = asyncio.Lock()
        self._met: dict[str, asyncio.Task[None]] = {}

    async def order(self, do: str, instance: Instance, **arguments: Any) -> Any:
        """What it answers.

        Raises:
            EngineError: it cannot be started, cannot see the instance, or the order failed.
        """
        agent = await self._ready()
        container = self._handles.containers[instance.name]
        met = self._met.get(container)
        if met is None or (met.done() and (met.cancelled() or met.exception())):
            met = self._met[container] = asyncio.create_task(self._meet(agent, container))
        await asyncio.shield(met)
        return await agent.order(do, container=container, **arguments)

    async def left(self) -> list[str]:
        """What is still in force, in words; nothing where it was never started."""
        if self._agent is None:
            return []
        names = {id_: name for name, id_ in self._handles.containers.items()}
        left = await self._agent.order("left")
        return [f"{names.get(id_, id_[:12])}: {text}" for id_, text in left]

    async def close(self) -> None:
        """Let it go; it gives back what it holds, and ends."""
        if self._agent:
            await self._agent.close()

    async def _ready(self) -> Agent:
        async with self._starting:
            if self._agent is None:
                from lab.engines.docker.start import start_talking  # needs the cluster's handles

                part, layout = inside(self._setting), self._setting.layout
                channel = await start_talking(self._daemon, layout, part, self._handles, self._logs)
                self._agent = Agent(channel, "the helper beside the services")
            return self._agent

    async def _meet(self, agent: Agent, container: str) -> None:
        found = await self._daemon.call(self._daemon.api.inspect_container, container)
        if not found["State"]["Running"]:
            raise EngineError(f"{found['Name'].lstrip('/')} does not run")
        await agent.order("meet", container=container, pid=found["State"]["Pid"])
