"""`latency`: every chunk of bytes on a link arrives late (Toxiproxy's `latency` toxic).

        client ──────────▶ proxy ──────────▶ server
               ◀─ +delay ─       ◀──────────

One delay per direction and chunk, not per request: a protocol that goes back and forth pays it
each time. The proxy completes the TCP handshake itself, so connecting stays as quick as before.

With `share`, chance decides for each new connection whether it is a slow one, and it stays so for
its life (on Docker: until another toxic of the link changes).
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from lab.engines import Cluster
from lab.faults.base import PROBE_TIMEOUT_S, Observation, probe_all, summary
from lab.faults.chance import plausible
from lab.faults.toxic import ToxicFault
from lab.plan import LinkEnd
from lab.proxies import Stream, Toxic
from lab.units import Seconds, Share, format_duration, format_share

_SEEN_SHARE = 0.8
"""The delay counts as seen from this share on: timers round, and jitter goes both ways."""

_PROBES_MIN, _PROBES_MAX = 20, 100
_HITS_WANTED = 5
"""How many slow connections to expect among the probes: then none is a rare sight."""

_PROBES_AT_ONCE = 4
"""Fewer than the smallest usual backlog of a server (5): a dropped SYN is a second of silence."""


class Latency(ToxicFault):
    """Replies (or requests) of a link are `delay` late, give or take `jitter`."""

    kind: ClassVar[str] = "latency"

    delay: Seconds = Field(description="added to every chunk", examples=["200ms"])
    jitter: Seconds = Field(default=0.0, description="the delay varies by up to this, uniformly")
    stream: Stream = Field(
        default="downstream", description="`downstream` delays replies, `upstream` requests"
    )

    share: Share = Field(
        default=1.0,
        ge=0.02,
        le=1,
        description="of the connections: chance decides for each one, when it opens",
        examples=["20%"],
    )

    def describe(self) -> str:
        """`latency 200 ms on app -> db`."""
        jitter = f" ± {format_duration(self.jitter)}" if self.jitter else ""
        of = f" on {format_share(self.share)} of connections of" if self.share < 1 else " on"
        return f"latency {format_duration(self.delay)}{jitter}{of} {self.link}"

    def toxics(self) -> tuple[Toxic, ...]:
        """One, in its stream."""
        attributes = {"latency": round(self.delay * 1000), "jitter": round(self.jitter * 1000)}
        name = f"lab-latency-{self.stream}"
        return (Toxic(name, "latency", self.stream, attributes, self.share),)

    async def observe(self, cluster: Cluster) -> Observation:
        """Time a round trip; in effect when it takes (nearly) the delay.

        Of a share, when about that share of many connections does.
        """
        timeout_s = self.delay + self.jitter + PROBE_TIMEOUT_S
        late_s = _SEEN_SHARE * max(self.delay - self.jitter, 0)
        ends = self.ends(cluster.deployment)
        if self.share < 1:
            return await self._observe_share(cluster, ends, timeout_s, late_s)
        probes = await probe_all(cluster, ends, timeout_s)
        return Observation.of((probe.seconds >= late_s for probe in probes), summary(probes))

    async def _observe_share(
        self, cluster: Cluster, ends: list[LinkEnd], timeout_s: float, late_s: float
    ) -> Observation:
        tries = min(max(round(_HITS_WANTED / self.share), _PROBES_MIN), _PROBES_MAX)
        late = [0] * len(ends)
        for number, end in enumerate(ends):
            for done in range(0, tries, _PROBES_AT_ONCE):
                batch = [end] * min(_PROBES_AT_ONCE, tries - done)
                probes = await probe_all(cluster, batch, timeout_s)
                late[number] += sum(probe.seconds >= late_s for probe in probes)
        seen = all(plausible(hits, tries, self.share) for hits in late)
        text = f"{sum(late)} of {tries * len(ends)} connections late"
        return Observation(bool(ends) and seen, bool(ends) and not any(late), text)
