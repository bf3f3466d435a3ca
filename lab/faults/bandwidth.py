"""`bandwidth`: a link carries so many bytes per second and connection (Toxiproxy's `bandwidth`).

Per connection: a pool of ten carries ten times as much. Small messages hardly notice; a large
answer, or a queue of small ones on one connection, waits.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from lab.engines import Cluster
from lab.faults.base import Observation
from lab.faults.toxic import (
    ToxicFault,
    exchange_all,
    kept,
    patience_s,
    rate_per_s,
    seen_bytes,
    summary_of_rates,
)
from lab.proxies import Stream, Toxic
from lab.units import BytesPerSecond, format_byte_rate

_KB = 1000
"""The toxic counts in these (`link.go`: bytes per millisecond)."""


class Bandwidth(ToxicFault):
    """Each connection of a link carries at most `rate`."""

    kind: ClassVar[str] = "bandwidth"

    rate: BytesPerSecond = Field(
        ge=_KB,
        multiple_of=_KB,
        description="bytes per second and connection, in whole KB (1 KB = 1000 bytes)",
        examples=["200KB/s"],
    )
    stream: Stream = Field(
        default="downstream", description="`downstream` slows replies, `upstream` requests"
    )

    def describe(self) -> str:
        """`bandwidth 195 KiB/s on app -> db`."""
        return f"bandwidth {format_byte_rate(self.rate)} on {self.link}"

    def toxics(self) -> tuple[Toxic, ...]:
        """One, in its stream."""
        name = f"lab-bandwidth-{self.stream}"
        return (Toxic(name, "bandwidth", self.stream, {"rate": self.rate // _KB}),)

    async def observe(self, cluster: Cluster) -> Observation:
        """Time a quarter of a second's worth of bytes; in effect when they come no faster."""
        ends = self.ends(cluster.deployment)
        size = seen_bytes(self.rate)
        longer_s = patience_s(size, self.rate)
        tries = await exchange_all(cluster, ends, self.stream, size, longer_s)
        seen = (kept(rate_per_s(t, self.stream), self.rate) for t in tries)
        return Observation.of(seen, summary_of_rates(tries, self.stream))
