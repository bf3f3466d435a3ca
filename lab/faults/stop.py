"""`stop`: a service is asked to end, as a deploy or a scale-down does; healing starts it again.

        SIGTERM ──── grace ────▶ SIGKILL, unless it has ended by then

Which signal it is, image and topology say (`stop_signal`). A container's first process that has
no handler for SIGTERM never gets it, because the kernel protects it: it dies at the end of the
grace. A local process without one dies at once.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from pydantic import Field

from lab.engines import Cluster, Stoppable
from lab.faults.base import Observation, ServiceFault
from lab.units import Seconds, format_duration


class Stop(ServiceFault):
    """A service is asked to end (SIGTERM), killed after a grace, and stays down until healed."""

    kind: ClassVar[str] = "stop"
    needs: ClassVar[tuple[type, ...]] = (Stoppable,)

    grace: Seconds = Field(
        default=2.0, description="how long it may take to end before it is killed"
    )

    def describe(self) -> str:
        """`stop of app-2, 2 s of grace`."""
        return f"stop of {self.service}, {format_duration(self.grace)} of grace"

    async def inject(self, cluster: Cluster) -> None:
        """Ask, wait, kill."""
        assert isinstance(cluster, Stoppable)  # noqa: S101 - `needs` was checked before
        instances = self.instances(cluster.deployment)
        await asyncio.gather(*(cluster.stop(i, self.grace) for i in instances))

    async def heal(self, cluster: Cluster) -> None:
        """Start it again."""
        assert isinstance(cluster, Stoppable)  # noqa: S101 - `needs` was checked before
        await asyncio.gather(*(cluster.start(i) for i in self.instances(cluster.deployment)))

    async def observe(self, cluster: Cluster) -> Observation:
        """In effect when the engine says that every instance has exited; the code tells how."""
        instances = self.instances(cluster.deployment)
        states = await asyncio.gather(*(cluster.state(i) for i in instances))
        words = sorted(
            {s.status + (f" ({s.exit_code})" if s.status == "exited" else "") for s in states}
        )
        return Observation.of((s.status == "exited" for s in states), ", ".join(words))
