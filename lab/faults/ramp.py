"""Faults whose value changes over their time, in steps: `delay: 0ms to 500ms`.

A toxic that is updated in place lets go at once of what it holds back (Toxiproxy, `latency.go`,
`bandwidth.go`: "exit fast"), so one toxic that is updated every 200 ms never delays by more than
that. A growing delay is therefore a row of toxics, each a small part of the whole, of which a step
changes the last one only: what a step lets go of early is at most that part.

    0 ms ─▶ 500 ms:   [50] [50] [50] [20]  ▸  [50] [50] [50] [30]  ▸  …

Rates do not add up: there a step puts a new line behind the old one, and then takes that away.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

from pydantic import PrivateAttr

from lab.engines import Cluster
from lab.errors import LabError
from lab.faults.base import Observation
from lab.faults.toxic import ToxicFault
from lab.proxies import Toxic
from lab.units import Ramp, format_duration

STEP_S = 0.2
PARTS = 10
"""Of how many parts a ramp is made at most."""

_ALONE_S = 2.0
"""How long a ramp takes where nobody says how long the fault is."""

_FIRST_S = 0.1
"""When a ramp is measured for the first time, before its first step."""


@dataclass(slots=True)
class Course:
    """A ramp under way: since when, what is on or may be, and what was measured at stations."""

    began_s: float
    healed: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)
    on: dict[str, Toxic] = field(default_factory=dict)
    tried: dict[str, None] = field(default_factory=dict)
    seen: list[tuple[bool, str]] = field(default_factory=list)

    async def healed_by(self, at_s: float) -> bool:
        """Wait until then; whether it was healed before."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(at_s - time.monotonic()):
                await self.healed.wait()
        return self.healed.is_set()


class RampFault(ToxicFault):
    """A fault of toxics, one of whose settings may be a ramp."""

    _course: Course | None = PrivateAttr(default=None)

    @property
    @abstractmethod
    def ramp(self) -> Ramp | None:
        """The setting, when it is one."""

    @abstractmethod
    def parts(self, value: float) -> Sequence[Toxic]:
        """The toxics that make up one value of the ramp, in the order of their chain."""

    @abstractmethod
    async def measure(self, cluster: Cluster) -> tuple[bool, str]:
        """Whether what is measured now is what the ramp is at now, and the measurement in words."""

    @property
    @abstractmethod
    def measure_s(self) -> float:
        """How long measuring takes at most, at the end of the ramp."""

    @property
    def over_s(self) -> float:
        """How long the ramp takes."""
        return (self.ramp.over_s if self.ramp else None) or self._whole_s

    @property
    def _whole_s(self) -> float:
        return _ALONE_S if self._for_s is None else self._for_s

    def value(self, at_s: float) -> float | None:
        """What the ramp is at, by the monotonic clock; None when it is not under way."""
        if self.ramp is None or self._course is None:
            return None
        return self.ramp.at(at_s - self._course.began_s, self.over_s)

    async def inject(self, cluster: Cluster) -> None:
        """Put them on every end of the link; a ramp begins, unless it has begun."""
        if self.ramp is None:
            await super().inject(cluster)
        elif self._course is None:
            course = self._course = Course(time.monotonic())
            await self._step(cluster, course, self.ramp.start)
            course.tasks = [
                asyncio.create_task(self._climb(cluster, course)),
                asyncio.create_task(self._watch(cluster, course)),
            ]

    async def heal(self, cluster: Cluster) -> None:
        """Remove them; a ramp that is under way ends after its step."""
        course = self._course
        if course is None:
            await super().heal(cluster)
            return
        course.healed.set()
        for task in course.tasks[1:]:
            task.cancel()
        await asyncio.gather(*course.tasks, return_exceptions=True)
        for name in list(course.tried):
            await self._take_off(cluster, course, name)
        self._course = None

    def course(self) -> Observation | None:
        """What was measured at the beginning, in the middle and at the end, as far as it came."""
        if self._course is None or not self._course.seen:
            return None
        seen = self._course.seen
        return Observation.of((right for right, _ in seen), ", ".join(text for _, text in seen))

    async def _climb(self, cluster: Cluster, course: Course) -> None:
        """Step after step on time, until the end; one that fails is made up for by the next."""
        assert self.ramp is not None  # noqa: S101 - only a ramp climbs
        next_s = course.began_s + STEP_S
        while not await course.healed_by(next_s):
            now_s = time.monotonic()
            with contextlib.suppress(LabError):
                await self._step(cluster, course, self.ramp.at(now_s - course.began_s, self.over_s))
                if now_s - course.began_s >= self.over_s:
                    return
            missed = (time.monotonic() - next_s) // STEP_S
            next_s += STEP_S * (1 + missed)

    async def _watch(self, cluster: Cluster, course: Course) -> None:
        """Measure at the beginning, in the middle, and as late as there is time for it."""
        last_s = max(min(self.over_s, self._whole_s - self.measure_s), 2 * _FIRST_S)
        for station_s in (_FIRST_S, last_s / 2, last_s):
            if await course.healed_by(course.began_s + station_s):
                return
            elapsed_s = time.monotonic() - course.began_s
            right, text = await self.measure(cluster)
            course.seen.append((right, f"{text} after {format_duration(elapsed_s)}"))

    async def _step(self, cluster: Cluster, course: Course, value: float) -> None:
        wanted = {toxic.name: toxic for toxic in self.parts(value)}
        ends = self.ends(cluster.deployment)
        for name, toxic in wanted.items():
            if course.on.get(name) != toxic:
                course.tried[name] = None
                await asyncio.gather(*(cluster.proxies.add(end.proxy, toxic) for end in ends))
                course.on[name] = toxic
        for name in [name for name in course.tried if name not in wanted]:
            await self._take_off(cluster, course, name)

    async def _take_off(self, cluster: Cluster, course: Course, name: str) -> None:
        ends = self.ends(cluster.deployment)
        await asyncio.gather(*(cluster.proxies.remove(end.proxy, name) for end in ends))
        course.on.pop(name, None)
        course.tried.pop(name, None)
