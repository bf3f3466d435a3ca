"""`flap`: a link goes down and comes up, over and over (its Toxiproxy proxy disabled and enabled).

A loose cable, a crashing sidecar: connections are refused and the open ones closed for `down`, then
all is well until `period` is over. What suffers is whatever decides by the last thing it saw.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from typing import ClassVar, Self

from pydantic import Field, PrivateAttr, model_validator

from lab.engines import Cluster
from lab.faults.base import LinkFault, Observation, probe_all
from lab.units import Seconds, format_duration, times

_LOOKS_PER_STATE = 4
_LONGER_S = 0.1
"""Toggling takes a moment, too."""


class Flap(LinkFault):
    """Connections over a link are refused for `down` in each `period`, from its beginning."""

    kind: ClassVar[str] = "flap"

    period: Seconds = Field(ge=0.2, le=5, description="from one time to the next", examples=["2s"])
    down: Seconds = Field(ge=0.1, description="how long it is down each time", examples=["1s"])

    _healed: asyncio.Event = PrivateAttr(default_factory=asyncio.Event)
    _flapping: asyncio.Task[None] | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _both(self) -> Self:
        if self.period - self.down < 0.1:
            raise ValueError("`down` must be at least 100ms shorter than `period`")
        return self

    @property
    def look_s(self) -> float:
        """A whole period: until then it may still be of the other kind."""
        return self.period + 2 * _LONGER_S + super().look_s

    def describe(self) -> str:
        """`down for 1 s every 2 s: app -> db`."""
        down, period = format_duration(self.down), format_duration(self.period)
        return f"down for {down} every {period}: {self.link}"

    async def inject(self, cluster: Cluster) -> None:
        """Begin, unless it has begun."""
        if self._flapping is None:
            self._healed = asyncio.Event()  # of this event loop: a value may be run twice
            self._flapping = asyncio.create_task(self._flap(cluster))

    async def heal(self, cluster: Cluster) -> None:
        """Let the step end that is under way, and leave it up."""
        self._healed.set()
        flapping, self._flapping = self._flapping, None
        try:
            if flapping:
                await flapping
        finally:
            await self._enable(cluster, enabled=True)

    async def observe(self, cluster: Cluster) -> Observation:
        """Look for a period; in effect when connections were refused, and were answered, too."""
        ends = self.ends(cluster.deployment)
        every_s = min(self.down, self.period - self.down) / _LOOKS_PER_STATE
        seen = [Counter[str]() for _ in ends]
        until_s = time.monotonic() + self.period + _LONGER_S
        while time.monotonic() < until_s and not all(map(_both, seen)):
            for counts, probe in zip(seen, await probe_all(cluster, ends), strict=True):
                counts[probe.outcome] += 1
            await asyncio.sleep(every_s)
        total = sum(seen, Counter[str]())
        text = ", ".join(f"{outcome} {times(count)}" for outcome, count in sorted(total.items()))
        gone = bool(ends) and not any(counts["refused"] for counts in seen)
        return Observation(bool(ends) and all(map(_both, seen)), gone, text)

    async def _flap(self, cluster: Cluster) -> None:
        next_s = time.monotonic()
        while not self._healed.is_set():
            await self._enable(cluster, enabled=False)
            await self._healed_by(next_s + self.down)
            await self._enable(cluster, enabled=True)
            next_s += self.period
            await self._healed_by(next_s)

    async def _healed_by(self, at_s: float) -> None:
        """Wait until then, or until it is healed."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(at_s - time.monotonic()):
                await self._healed.wait()

    async def _enable(self, cluster: Cluster, *, enabled: bool) -> None:
        ends = self.ends(cluster.deployment)
        why = self.describe()
        await asyncio.gather(*(cluster.proxies.set_enabled(e.proxy, enabled, why) for e in ends))


def _both(counts: Counter[str]) -> bool:
    return bool(counts["refused"] and counts["answered"])
