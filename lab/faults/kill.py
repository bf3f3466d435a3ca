"""`kill`: a service crashes (SIGKILL). Its data stays; healing starts it again.

A killed process keeps what it had already written: the page cache outlives it. Only a power cut
loses that, so nothing that survives a kill has been proved durable.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from pydantic import Field

from lab.engines import Cluster, Killable
from lab.faults.base import Observation, ServiceFault


class Kill(ServiceFault):
    """A service crashes; with `restart: true` (the default) it is started when the fault ends."""

    kind: ClassVar[str] = "kill"
    needs: ClassVar[tuple[type, ...]] = (Killable,)

    restart: bool = Field(default=True, description="start it again when the fault ends")

    @property
    def permanent(self) -> bool:
        """Without a restart it stays down, as written."""
        return not self.restart

    def describe(self) -> str:
        """`crash of app-2`."""
        return f"crash of {self.service}"

    async def inject(self, cluster: Cluster) -> None:
        """Kill."""
        assert isinstance(cluster, Killable)  # noqa: S101 - `needs` was checked before
        await asyncio.gather(*(cluster.kill(i) for i in self.instances(cluster.deployment)))

    async def heal(self, cluster: Cluster) -> None:
        """Start it again, unless it is meant to stay down."""
        assert isinstance(cluster, Killable)  # noqa: S101 - `needs` was checked before
        if self.restart:
            await asyncio.gather(*(cluster.start(i) for i in self.instances(cluster.deployment)))

    async def observe(self, cluster: Cluster) -> Observation:
        """In effect when the engine says that every instance has exited."""
        instances = self.instances(cluster.deployment)
        states = await asyncio.gather(*(cluster.state(i) for i in instances))
        words = sorted(
            {s.status + (f" ({s.exit_code})" if s.status == "exited" else "") for s in states}
        )
        return Observation.of((s.status == "exited" for s in states), ", ".join(words))
