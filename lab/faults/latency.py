"""`latency`: every chunk of bytes on a link arrives late (Toxiproxy's `latency` toxic).

        client ──────────▶ proxy ──────────▶ server
               ◀─ +delay ─       ◀──────────

One delay per direction and chunk, not per request: a protocol that goes back and forth pays it
each time. The proxy completes the TCP handshake itself, so connecting stays as quick as before.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from pydantic import Field

from lab.engines import Cluster
from lab.faults.base import PROBE_TIMEOUT_S, LinkFault, Observation, probe_all, summary
from lab.proxies import Stream, Toxic
from lab.units import Seconds, format_duration

_SEEN_SHARE = 0.8
"""The delay counts as seen from this share on: timers round, and jitter goes both ways."""


class Latency(LinkFault):
    """Replies (or requests) of a link are `delay` late, give or take `jitter`."""

    kind: ClassVar[str] = "latency"

    delay: Seconds = Field(description="added to every chunk", examples=["200ms"])
    jitter: Seconds = Field(default=0.0, description="the delay varies by up to this, uniformly")
    stream: Stream = Field(
        default="downstream", description="`downstream` delays replies, `upstream` requests"
    )

    def describe(self) -> str:
        """`latency 200 ms on app -> db`."""
        jitter = f" ± {format_duration(self.jitter)}" if self.jitter else ""
        return f"latency {format_duration(self.delay)}{jitter} on {self.link}"

    @property
    def _toxic(self) -> Toxic:
        attributes = {"latency": round(self.delay * 1000), "jitter": round(self.jitter * 1000)}
        return Toxic(f"lab-latency-{self.stream}", "latency", self.stream, attributes)

    async def inject(self, cluster: Cluster) -> None:
        """Add the toxic to every end of the link at once."""
        ends = self.ends(cluster.deployment)
        await asyncio.gather(*(cluster.proxies.add(end.proxy, self._toxic) for end in ends))

    async def heal(self, cluster: Cluster) -> None:
        """Remove the toxic."""
        ends = self.ends(cluster.deployment)
        await asyncio.gather(*(cluster.proxies.remove(end.proxy, self._toxic.name) for end in ends))

    async def observe(self, cluster: Cluster) -> Observation:
        """Time a round trip; in effect when it takes (nearly) the delay."""
        timeout_s = self.delay + self.jitter + PROBE_TIMEOUT_S
        probes = await probe_all(cluster, self.ends(cluster.deployment), timeout_s)
        late_s = _SEEN_SHARE * max(self.delay - self.jitter, 0)
        return Observation.of((probe.seconds >= late_s for probe in probes), summary(probes))
