"""`clock_skew`: the wall clock of a service jumps and stays off (libfaketime).

Timestamps, leases and certificates go by the wall clock; sleeps and timeouts should not, and the
monotonic clocks that they are to use go on. The service's image must hold the library (Debian:
`libfaketime`); the lab starts the service with it. A program that asks the kernel itself, as Go's
do, is refused.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from pydantic import Field, field_validator

from lab.engines import Cluster, Skewable
from lab.errors import EngineError
from lab.faults.base import Observation, ServiceFault
from lab.plan import Deployment
from lab.units import Offset, format_duration, format_range

_SAME_S = 0.1
"""How well an offset is known: a process is started to read the clock."""


class ClockSkew(ServiceFault):
    """The wall clock of a service is off by so much; healing sets it right, which is a jump too."""

    kind: ClassVar[str] = "clock_skew"
    needs: ClassVar[tuple[type, ...]] = (Skewable,)
    why_needed: ClassVar[str] = "a clock of its own takes libfaketime in the service's container"

    by: Offset = Field(description="how far, ahead or (with a minus) behind", examples=["-30s"])

    @field_validator("by")
    @classmethod
    def _enough(cls, by: float) -> float:
        if abs(by) < 2 * _SAME_S:
            raise ValueError("`by` must be 200ms or more, ahead or behind")
        return by

    def describe(self) -> str:
        """`clock of app 30 s behind`."""
        side = "behind" if self.by < 0 else "ahead"
        return f"clock of {self.service} {format_duration(abs(self.by))} {side}"

    def skews(self, deployment: Deployment) -> tuple[str, ...]:
        """Those that are to be started with the library."""
        return self.targets(deployment)

    async def prepare(self, cluster: Cluster) -> None:
        """Look whether every process of it would notice.

        Raises:
            EngineError: one would not, with the reason.
        """
        assert isinstance(cluster, Skewable)  # noqa: S101 - `needs` was checked before
        for instance in self.instances(cluster.deployment):
            clock = await cluster.clock(instance)
            if clock and clock.why_not:
                raise EngineError(
                    f"{self.describe()}: {clock.why_not}",
                    remedy="add the Debian package libfaketime to its image",
                )

    async def inject(self, cluster: Cluster) -> None:
        """Set the clocks off."""
        assert isinstance(cluster, Skewable)  # noqa: S101 - `needs` was checked before
        instances = self.instances(cluster.deployment)
        await asyncio.gather(*(cluster.set_clock(i, self.by) for i in instances))

    async def heal(self, cluster: Cluster) -> None:
        """Set them right."""
        assert isinstance(cluster, Skewable)  # noqa: S101 - `needs` was checked before
        instances = self.instances(cluster.deployment)
        await asyncio.gather(*(cluster.set_clock(i, 0.0) for i in instances))

    async def observe(self, cluster: Cluster) -> Observation:
        """In effect when a `date` beside the service, started as it was, is off by as much."""
        assert isinstance(cluster, Skewable)  # noqa: S101 - `needs` was checked before
        instances = self.instances(cluster.deployment)
        clocks = await asyncio.gather(*(cluster.clock(i) for i in instances))
        found = [clock.offset_s for clock in clocks if clock and clock.offset_s is not None]
        return Observation(
            in_effect=bool(found)
            and len(found) == len(clocks)
            and all(abs(s - self.by) < _SAME_S for s in found),
            gone=bool(clocks)
            and all(abs(s) < _SAME_S for s in found)
            and not any(clock.why_not for clock in clocks if clock),
            text=format_range(found, lambda s: f"{s * 1000:+.0f} ms") if found else "down",
        )
