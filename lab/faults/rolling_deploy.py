"""`rolling_deploy`: a new version replaces the old one, a few replicas at a time.

        app-1  ─ SIGTERM, grace ─┤ start ── ready ──┐
        app-2                           pause, then └─ SIGTERM, grace ─┤ start ── ready ──┐
        app-3                                                                 and so on ──┘

It ends by itself and what it deployed stays. When its time is over before that, it goes no further:
the step under way ends, and what does not become ready is taken back.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import ConfigDict, Field, PrivateAttr

from lab.engines import Cluster, Life, Replaceable, Version
from lab.errors import LabError
from lab.faults.base import Observation
from lab.faults.commands import in_a_line
from lab.faults.versions import Replacing
from lab.plan import Instance
from lab.units import Seconds, format_duration

_STEP_ENDS_S = 8.0
"""How long healing waits for the step under way; taking it back must fit in after that."""


class RollingDeploy(Replacing):
    """A new version is deployed, replica after replica; in every design at the same pace."""

    kind: ClassVar[str] = "rolling_deploy"
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"service": "app", "env": {"VERSION": "2"}}]}
    )
    needs: ClassVar[tuple[type, ...]] = (Replaceable,)

    grace: Seconds = Field(
        default=10.0, description="how long an old one may take to end before it is killed"
    )
    batch: int = Field(default=1, ge=1, description="how many are replaced at once")
    wait: Literal["ready", "none"] = Field(
        default="ready", description="what a new one must be before the next ones go"
    )
    pause: Seconds = Field(default=0.0, description="how long to wait between two steps")
    _rolling: dict[str, asyncio.Task[None]] = PrivateAttr(default_factory=dict)
    _over: asyncio.Event = PrivateAttr(default_factory=asyncio.Event)
    _earlier: dict[str, Life] = PrivateAttr(default_factory=dict)
    _under_way: set[str] = PrivateAttr(default_factory=set)
    _steps_s: list[float] = PrivateAttr(default_factory=list)
    _stuck: list[str] = PrivateAttr(default_factory=list)

    def describe(self) -> str:
        """`rolling deploy of app by VERSION=2`."""
        return f"rolling deploy of {self.service}{self.words()}"

    async def inject(self, cluster: Cluster) -> None:
        """Begin in every design; it goes on by itself."""
        assert isinstance(cluster, Replaceable)  # noqa: S101 - `needs` was checked before
        if self._rolling:
            return
        self._over.clear()
        self._steps_s.clear()
        self._stuck.clear()
        instances = self.instances(cluster.deployment)
        lives = await asyncio.gather(*(cluster.life(i) for i in instances))
        self._earlier = {i.name: life for i, life in zip(instances, lives, strict=True)}
        for design in dict.fromkeys(i.design for i in instances):
            replicas = [i for i in instances if i.design == design]
            self._rolling[design] = asyncio.create_task(self._roll(cluster, replicas))

    async def heal(self, cluster: Cluster) -> None:
        """Go no further; the step under way ends, or is taken back. What is deployed stays.

        What does not run is taken back too.
        """
        assert isinstance(cluster, Replaceable)  # noqa: S101 - `needs` was checked before
        self._over.set()
        tasks = list(self._rolling.values())
        if tasks:
            await asyncio.wait(tasks, timeout=_STEP_ENDS_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        replaced = [i for i in self.instances(cluster.deployment) if i.name in self._earlier]
        states = await asyncio.gather(*(cluster.state(i) for i in replaced))
        back = [
            instance
            for instance, state in zip(replaced, states, strict=True)
            if instance.name in self._under_way or state.status != "running"
        ]
        await asyncio.gather(*(cluster.replace(i, Version(), 0.0) for i in back))
        self._under_way.clear()
        self._rolling.clear()

    async def observe(self, cluster: Cluster) -> Observation:
        """In effect once the new version has come in every design, by environment and image.

        Gone when nothing is being replaced and all run; how far it came, and how long each step
        took, is told.
        """
        assert isinstance(cluster, Replaceable)  # noqa: S101 - `needs` was checked before
        instances = self.instances(cluster.deployment)
        lives = await asyncio.gather(*(cluster.life(i) for i in instances))
        states = await asyncio.gather(*(cluster.state(i) for i in instances))
        new = [
            self.is_new(life, self._earlier.get(i.name))
            for i, life in zip(instances, lives, strict=True)
        ]
        come = {i.design for i, is_new in zip(instances, new, strict=True) if is_new}
        return Observation(
            in_effect=bool(self._rolling) and come == {i.design for i in instances},
            gone=not self._rolling and all(state.status == "running" for state in states),
            text=self._words(sum(new), len(new)),
        )

    async def _roll(self, cluster: Cluster, replicas: Sequence[Instance]) -> None:
        for first in range(0, len(replicas), self.batch):
            if first and await self._is_over(self.pause):
                return
            try:
                batch = replicas[first : first + self.batch]
                await asyncio.gather(*(self._step(cluster, instance) for instance in batch))
            except LabError as error:  # a version that does not come up stops its deploy
                self._stuck.append(in_a_line(error.message))
                return

    async def _step(self, cluster: Cluster, instance: Instance) -> None:
        assert isinstance(cluster, Replaceable)  # noqa: S101 - `needs` was checked before
        began_s = time.monotonic()
        self._under_way.add(instance.name)
        ready = self.wait == "ready"
        await cluster.replace(instance, self.version, self.grace, ready=ready)
        self._under_way.discard(instance.name)
        self._steps_s.append(time.monotonic() - began_s)

    async def _is_over(self, pause_s: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), pause_s)
        return self._over.is_set()

    def _words(self, new: int, all_: int) -> str:
        words = [f"{new} of {all_} replaced"]
        if self._steps_s:
            words.append("steps " + ", ".join(format_duration(s) for s in self._steps_s))
        return "; ".join([*words, *self._stuck])
