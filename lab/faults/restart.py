"""`restart`: a service goes down and comes straight back, as after a crash that a watchdog saw.

It is a fault of an instant: what it leaves is a new process with empty memory, cold caches and no
connections. So it has bitten when every instance lives another life, and is gone when every
instance runs; once it is over, both are true.
"""

from __future__ import annotations

import asyncio
import time
from typing import ClassVar

from pydantic import Field, PrivateAttr

from lab.engines import Cluster, State, Stoppable
from lab.faults.base import Observation, ServiceFault
from lab.plan import Instance
from lab.units import Seconds, format_duration


class Restart(ServiceFault):
    """A service crashes, or with `graceful: true` is asked to end, and is started at once."""

    kind: ClassVar[str] = "restart"
    needs: ClassVar[tuple[type, ...]] = (Stoppable,)

    graceful: bool = Field(default=False, description="ask it to end instead of crashing it")
    grace: Seconds = Field(
        default=2.0, description="with `graceful`: how long it may take before it is killed"
    )
    _earlier: dict[str, float | None] = PrivateAttr(default_factory=dict)
    """When the lives began that it ended, by instance, from injecting to healing."""

    def describe(self) -> str:
        """`restart of app-2`, `graceful restart of app-2`."""
        return f"{'graceful ' if self.graceful else ''}restart of {self.service}"

    async def inject(self, cluster: Cluster) -> None:
        """Down and up again; over when every instance is ready. One that was restarted is left."""
        await asyncio.gather(
            *(
                self._restart(cluster, i)
                for i in self.instances(cluster.deployment)
                if i.name not in self._earlier
            )
        )

    async def heal(self, cluster: Cluster) -> None:
        """Start what did not come up."""
        assert isinstance(cluster, Stoppable)  # noqa: S101 - `needs` was checked before
        for instance in self.instances(cluster.deployment):
            if (await cluster.state(instance)).status != "running":
                await cluster.start(instance)
        self._earlier.clear()

    async def observe(self, cluster: Cluster) -> Observation:
        """In effect when the engine tells of a later start than before; gone when all runs."""
        instances = self.instances(cluster.deployment)
        states = await asyncio.gather(*(cluster.state(i) for i in instances))
        anew = [
            i.name in self._earlier and s.started_s != self._earlier[i.name]
            for i, s in zip(instances, states, strict=True)
        ]
        runs = [state.status == "running" for state in states]
        text = ", ".join(sorted({_words(state) for state in states}))
        return Observation(
            in_effect=bool(anew) and all(anew) and all(runs),
            gone=bool(runs) and all(runs),
            text=text,
        )

    async def _restart(self, cluster: Cluster, instance: Instance) -> None:
        assert isinstance(cluster, Stoppable)  # noqa: S101 - `needs` was checked before
        self._earlier[instance.name] = (await cluster.state(instance)).started_s
        if self.graceful:
            await cluster.stop(instance, self.grace)
        else:
            await cluster.kill(instance)
        await cluster.start(instance)


def _words(state: State) -> str:
    """`up for 812 ms`."""
    if state.status != "running" or state.started_s is None:
        return state.status
    return f"up for {format_duration(max(0.0, time.time() - state.started_s))}"
