"""`crash_loop`: a service crashes again each time it is back, until healed.

        crash, start … ready ── every ──▶ crash, start … ready ── every ──▶ crash …

What waits for a service that is merely slow to start waits here for ever, and each time it is
back, everybody connects at once.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import ClassVar

from pydantic import Field, PrivateAttr

from lab.engines import Cluster, Killable
from lab.errors import LabError
from lab.faults.base import Observation, ServiceFault
from lab.plan import Instance
from lab.units import Seconds, format_duration, times

_PROVED = 2
"""Crashes of every instance that make it a loop."""


@dataclass(slots=True)
class _Loop:
    """One instance's; `lives` are the beginnings of those that ended in a crash, by the engine."""

    task: asyncio.Task[None] | None = None
    crashed: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    lives: set[float | None] = field(default_factory=set)


class CrashLoop(ServiceFault):
    """A service crashes (SIGKILL), is started, serves for a while and crashes again."""

    kind: ClassVar[str] = "crash_loop"
    needs: ClassVar[tuple[type, ...]] = (Killable,)

    every: Seconds = Field(
        description="how long it is back before it crashes again", examples=["500ms"]
    )
    _loops: dict[str, _Loop] = PrivateAttr(default_factory=dict)

    def describe(self) -> str:
        """`crash loop of app-2, back for 500 ms each time`."""
        return f"crash loop of {self.service}, back for {format_duration(self.every)} each time"

    async def inject(self, cluster: Cluster) -> None:
        """Begin; returns after the first crash."""
        for instance in self.instances(cluster.deployment):
            if instance.name not in self._loops:
                loop = self._loops[instance.name] = _Loop()
                loop.task = asyncio.create_task(self._crash(cluster, instance, loop))
        await asyncio.gather(*(loop.crashed.wait() for loop in self._loops.values()))

    async def heal(self, cluster: Cluster) -> None:
        """Let the step end that is under way, then start what is down."""
        assert isinstance(cluster, Killable)  # noqa: S101 - `needs` was checked before
        for loop in self._loops.values():
            loop.over.set()
        await asyncio.gather(*(loop.task for loop in self._loops.values() if loop.task))
        self._loops.clear()
        await asyncio.gather(*(cluster.start(i) for i in self.instances(cluster.deployment)))

    async def observe(self, cluster: Cluster) -> Observation:
        """In effect once the engine has told of two lives that ended; gone when all runs again."""
        instances = self.instances(cluster.deployment)
        states = await asyncio.gather(*(cluster.state(i) for i in instances))
        counts = [len(self._loops[i.name].lives) for i in instances if i.name in self._loops]
        text = ", ".join(sorted({state.status for state in states}))
        if counts:
            text = f"crashed {times(min(counts))}, {text}"
        return Observation(
            in_effect=bool(counts) and min(counts) >= _PROVED,
            gone=not counts and bool(states) and all(s.status == "running" for s in states),
            text=text,
        )

    async def _crash(self, cluster: Cluster, instance: Instance, loop: _Loop) -> None:
        assert isinstance(cluster, Killable)  # noqa: S101 - `needs` was checked before
        while not loop.over.is_set():
            with contextlib.suppress(LabError):  # what does not get up is killed again
                await cluster.kill(instance)
                state = await cluster.state(instance)
                if state.status == "exited":
                    loop.lives.add(state.started_s)
                loop.crashed.set()
                await cluster.start(instance)
            loop.crashed.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(loop.over.wait(), self.every)
