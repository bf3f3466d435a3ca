"""`bandwidth`: a link carries so many bytes per second and connection (Toxiproxy's `bandwidth`).

Per connection: a pool of ten carries ten times as much. Small messages hardly notice; a large
answer, or a queue of small ones on one connection, waits.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from lab.engines import Cluster, Exchange
from lab.faults.base import Observation
from lab.faults.ramp import PARTS, RampFault
from lab.faults.toxic import (
    SEEN_S,
    exchange_all,
    kept,
    patience_s,
    rate_per_s,
    seen_bytes,
    summary_of_rates,
)
from lab.plan import LinkEnd
from lab.proxies import Stream, Toxic
from lab.units import BytesPerSecondOrRamp, Ramp, format_byte_rate, format_duration

_KB = 1000
"""The toxic counts in these (`link.go`: bytes per millisecond)."""

_RAMP_MIN = 32 * _KB
"""A step waits until the new line takes what the old one holds: up to 32 KiB, so a second here."""

_LEAST_SHARE, _MOST_SHARE = 0.3, 1.3
"""Of a ramp's rate, what gets through while it is measured in a hurry, on a busy machine."""


def _whole(rate: int | Ramp) -> int | Ramp:
    for one in (rate.start, rate.end) if isinstance(rate, Ramp) else (rate,):
        if one < _KB or one % _KB:
            raise ValueError("a rate is in whole KB: write at least 1KB/s, like 200KB/s")
    if isinstance(rate, Ramp) and min(rate.start, rate.end) < _RAMP_MIN:
        raise ValueError("a ramp is not that narrow: write at least 32KB/s")
    return rate


class Bandwidth(RampFault):
    """Each connection of a link carries at most `rate`."""

    kind: ClassVar[str] = "bandwidth"

    rate: Annotated[BytesPerSecondOrRamp, AfterValidator(_whole)] = Field(
        description="per connection, in whole KB (1000 bytes); `1MB/s to 50KB/s` shrinks",
        examples=["200KB/s", "1MB/s to 50KB/s over 10s"],
    )
    stream: Stream = Field(
        default="downstream", description="`downstream` slows replies, `upstream` requests"
    )

    @property
    def ramp(self) -> Ramp | None:
        """The rate, when it is one."""
        return self.rate if isinstance(self.rate, Ramp) else None

    @property
    def measure_s(self) -> float:
        """An answer can be four times as long as it was taken for."""
        return 4 * SEEN_S

    def describe(self) -> str:
        """`bandwidth 195 KiB/s on app -> db`."""
        words = " to ".join(format_byte_rate(rate) for rate in self._ends)
        over = (
            f" over {format_duration(self.ramp.over_s)}" if self.ramp and self.ramp.over_s else ""
        )
        return f"bandwidth {words}{over} on {self.link}"

    def toxics(self) -> tuple[Toxic, ...]:
        """One, in its stream."""
        return (self._toxic(max(self._ends), ""),)

    def parts(self, value: float) -> Sequence[Toxic]:
        """One line, another one at each step: the new one is behind the old when that ends.

        What the old one holds goes through the new one, and nothing slips through at once.
        """
        low, high = min(self._ends), max(self._ends)
        number = round((value - low) / (high - low) * PARTS)
        rate = low + (high - low) * number / PARTS
        return (self._toxic(rate, f"-{number + 1}"),)

    async def observe(self, cluster: Cluster) -> Observation:
        """Time a quarter of a second's worth of bytes; in effect when they come no faster.

        Of a ramp, no faster than the ramp is at; it is measured at its beginning, in its middle
        and at its end.
        """
        ends = self.ends(cluster.deployment)
        tries, _, most = await self._tried(cluster, ends)
        seen = (kept(rate_per_s(t, self.stream), most) for t in tries)
        return Observation.of(seen, summary_of_rates(tries, self.stream))

    async def measure(self, cluster: Cluster) -> tuple[bool, str]:
        """A rate, and whether it was about what the ramp was at then."""
        tries, least, most = await self._tried(cluster, self.ends(cluster.deployment))
        rates = [rate_per_s(t, self.stream) for t in tries]
        right = all(
            kept(rate, _MOST_SHARE * most) and (rate or 0) >= _LEAST_SHARE * least for rate in rates
        )
        return bool(tries) and right, summary_of_rates(tries, self.stream)

    async def _tried(
        self, cluster: Cluster, ends: list[LinkEnd]
    ) -> tuple[list[Exchange], float, float]:
        """Exchanges, and the least and the most that the rate was meanwhile."""
        began = self.value(time.monotonic())
        # A ramp must not go far while it is measured, and answers are longer than they need be.
        size = seen_bytes(max(self._ends) if began is None else began / 2)
        longer_s = patience_s(size, min(self._ends) if self.ramp else max(self._ends))
        tries = await exchange_all(cluster, ends, self.stream, size, longer_s)
        ended = self.value(time.monotonic())
        if began is None or ended is None:
            return tries, min(self._ends), max(self._ends)
        part = (max(self._ends) - min(self._ends)) / PARTS
        return tries, min(began, ended), max(began, ended) + part

    @property
    def _ends(self) -> tuple[float, ...]:
        return (self.rate.start, self.rate.end) if isinstance(self.rate, Ramp) else (self.rate,)

    def _toxic(self, rate: float, suffix: str) -> Toxic:
        attributes = {"rate": round(rate / _KB)}
        return Toxic(f"{self.called(self.stream)}{suffix}", "bandwidth", self.stream, attributes)
