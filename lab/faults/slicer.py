"""`slicer`: bytes of a link arrive in small slices, one by one (Toxiproxy's `slicer` toxic).

What a slow client or a path of tiny packets looks like: a reader that takes the first bytes for the
whole message fails, and a server that waits for slow senders is busy with waiting.
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
from lab.units import Bytes, Seconds, format_duration, format_size


class Slicer(ToxicFault):
    """Bytes come in slices of at most `size`, `delay` apart."""

    kind: ClassVar[str] = "slicer"

    size: Bytes = Field(ge=1, description="of a slice, at most", examples=["50B"])
    delay: Seconds = Field(ge=0.001, description="from slice to slice", examples=["10ms"])
    stream: Stream = Field(
        default="downstream", description="`downstream` slices replies, `upstream` requests"
    )

    def describe(self) -> str:
        """`slices of 50 B every 10 ms on app -> db`."""
        size, delay = format_size(self.size), format_duration(self.delay)
        return f"slices of {size} every {delay} on {self.link}"

    def toxics(self) -> tuple[Toxic, ...]:
        """One, in its stream."""
        attributes = {
            "average_size": self.size,
            "size_variation": 0,
            "delay": round(self.delay * 1e6),
        }
        return (Toxic(self.called(self.stream), "slicer", self.stream, attributes),)

    async def observe(self, cluster: Cluster) -> Observation:
        """Time many slices; in effect when bytes come no faster than slices may."""
        ends = self.ends(cluster.deployment)
        limit_per_s = self.size / self.delay
        size = max(seen_bytes(limit_per_s), 4 * self.size)
        longer_s = patience_s(size, limit_per_s)
        tries = await exchange_all(cluster, ends, self.stream, size, longer_s)
        seen = (kept(rate_per_s(t, self.stream), limit_per_s) for t in tries)
        return Observation.of(seen, summary_of_rates(tries, self.stream))
