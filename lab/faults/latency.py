"""`latency`: every chunk of bytes on a link arrives late (Toxiproxy's `latency` toxic).

        client ──────────▶ proxy ──────────▶ server
               ◀─ +delay ─       ◀──────────

One delay per direction and chunk, not per request: a protocol that goes back and forth pays it
each time. The proxy completes the TCP handshake itself, so connecting stays as quick as before.

With `share`, chance decides for each new connection whether it is a slow one, and it stays so for
its life (on Docker: until another toxic of the link changes). Several latencies on one link add up.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import ClassVar, Self

from pydantic import Field, model_validator

from lab.engines import Cluster, Probe
from lab.faults.base import PROBE_TIMEOUT_S, Observation, probe_all, summary
from lab.faults.chain import Span, other_delays, probe_past
from lab.faults.ramp import PARTS, RampFault
from lab.faults.sample import ConnectionShare, of_share, sampled
from lab.plan import Deployment, LinkEnd
from lab.proxies import Stream, Toxic
from lab.units import Ramp, Seconds, SecondsOrRamp, format_duration

_SEEN_SHARE = 0.8
"""The delay counts as seen from this share on: timers round, and jitter goes both ways."""

_SEEN_MIN_S = 0.02
"""Less than this is nothing to see of a ramp that begins at nothing."""

_BUSY_S = 0.15
"""How much later than a ramp says an answer may come on a machine that is busy."""

_PART_MIN_S = 0.05


class Latency(RampFault):
    """Replies (or requests) of a link are `delay` late, give or take `jitter`."""

    kind: ClassVar[str] = "latency"

    delay: SecondsOrRamp = Field(
        description="added to every chunk; `0ms to 500ms` grows, `over 10s` says how fast",
        examples=["200ms", "0ms to 500ms over 10s"],
    )
    jitter: Seconds = Field(default=0.0, description="the delay varies by up to this, uniformly")
    stream: Stream = Field(
        default="downstream", description="`downstream` delays replies, `upstream` requests"
    )
    share: ConnectionShare = 1.0

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.share < 1 and self.ramp:
            raise ValueError(
                "a `share` of a ramp would draw anew at each step: write one delay, or no `share`"
            )
        return self

    @property
    def ramp(self) -> Ramp | None:
        """The delay, when it is one."""
        return self.delay if isinstance(self.delay, Ramp) else None

    @property
    def measure_s(self) -> float:
        """One round trip, or two where others delay it as well."""
        return 2 * (self._ends[1] + self.jitter) + _BUSY_S

    def describe(self) -> str:
        """`latency 200 ms on app -> db`."""
        jitter = f" ± {format_duration(self.jitter)}" if self.jitter else ""
        return f"latency {_words(self.delay)}{jitter} on {of_share(self.share)}{self.link}"

    def places(self, deployment: Deployment) -> set[tuple[str, str]]:  # noqa: ARG002
        """None: several add up, each with toxics of its own."""
        return set()

    def toxics(self) -> tuple[Toxic, ...]:
        """One, in its stream."""
        least_s, _ = self._ends
        attributes = {"latency": round(least_s * 1000), "jitter": round(self.jitter * 1000)}
        name = self.called(self.stream)
        return (Toxic(name, "latency", self.stream, attributes, self.share),)

    def parts(self, value: float) -> Sequence[Toxic]:
        """What is there at the least, then one small delay after the other."""
        least_s, most_s = self._ends
        count = min(max(round((most_s - least_s) / _PART_MIN_S), 1), PARTS)
        part_ms = (most_s - least_s) * 1000 / count
        more_ms = (value - least_s) * 1000
        rest = []
        for number in range(count):
            own_ms = round(min(max(more_ms - number * part_ms, 0), part_ms))
            if own_ms:
                name = f"{self.called(self.stream)}-{number + 1}"
                rest.append(Toxic(name, "latency", self.stream, {"latency": own_ms, "jitter": 0}))
        return (*self.toxics(), *rest)

    async def observe(self, cluster: Cluster) -> Observation:
        """Time a round trip; in effect when it takes (nearly) the delay, other latencies deducted.

        Of a share, when about that share of many connections does. Of a ramp, when it takes what
        the ramp is at; it is measured at its beginning, in its middle and at its end.
        """
        ends = self.ends(cluster.deployment)
        if self.share < 1:
            return await self._observe_share(cluster, ends)
        began_s = time.monotonic()
        probes, others = await self._probe(cluster, ends)
        late_s, gone_s = self._bounds(began_s, time.monotonic())
        own = [(p.seconds - most, p.seconds - least) for p, (least, most) in _with(probes, others)]
        late = [least >= late_s for least, _ in own]
        gone = [most < gone_s for _, most in own]
        text = summary(probes)
        return Observation(bool(ends) and all(late), bool(ends) and all(gone), text)

    async def measure(self, cluster: Cluster) -> tuple[bool, str]:
        """A round trip, and whether it took what the ramp was at then."""
        ends = self.ends(cluster.deployment)
        began_s = time.monotonic()
        probes, others = await self._probe(cluster, ends)
        least_s, most_s = self._between(began_s, time.monotonic())
        part_s = (self._ends[1] - self._ends[0]) / PARTS
        low_s, high_s = _SEEN_SHARE * (least_s - part_s - self.jitter), most_s + self.jitter
        right = all(
            low_s <= p.seconds - least and p.seconds - most <= high_s + part_s + _BUSY_S
            for p, (least, most) in _with(probes, others)
        )
        return bool(ends) and right, summary(probes)

    @property
    def _ends(self) -> Span:
        """The least and the most that the delay ever is."""
        if isinstance(self.delay, Ramp):
            low, high = sorted((self.delay.start, self.delay.end))
            return low, high
        return self.delay, self.delay

    def _between(self, began_s: float, ended_s: float) -> Span:
        """What the delay was between two moments."""
        values = [self.value(at_s) for at_s in (began_s, ended_s)]
        known = [value for value in values if value is not None]
        return (min(known), max(known)) if known else self._ends

    def _bounds(self, began_s: float, ended_s: float) -> Span:
        """From when on it is there, and until when it is not."""
        least_s, _ = self._between(began_s, ended_s)
        low_s, high_s = self._ends
        if self.value(ended_s) is None:
            late_s = _SEEN_SHARE * max(high_s - self.jitter, 0)
            return late_s, late_s if self.ramp is None else max(_SEEN_MIN_S, high_s / PARTS)
        part_s = (high_s - low_s) / PARTS
        late_s = max(_SEEN_SHARE * (least_s - part_s - self.jitter), _SEEN_MIN_S)
        return late_s, _SEEN_MIN_S

    async def _probe(self, cluster: Cluster, ends: list[LinkEnd]) -> tuple[list[Probe], list[Span]]:
        """A round trip of each end, and what others may have added to it meanwhile."""
        timeout_s = self._ends[1] + self.jitter + PROBE_TIMEOUT_S
        now_s = time.monotonic()
        quick_s = min(_SEEN_MIN_S, self._bounds(now_s, now_s)[1])
        return await probe_past(cluster, ends, self.called(self.stream), timeout_s, quick_s)

    async def _observe_share(self, cluster: Cluster, ends: list[LinkEnd]) -> Observation:
        others = await other_delays(cluster, ends, self.called(self.stream))
        most_s = {end.name: most for end, (_, most) in zip(ends, others, strict=True)}
        timeout_s = self._ends[1] + self.jitter + PROBE_TIMEOUT_S
        late_s = _SEEN_SHARE * max(self._ends[1] - self.jitter, 0)

        async def late(these: Sequence[LinkEnd]) -> list[bool]:
            more_s = [most_s[end.name] for end in these]
            probes = await probe_all(cluster, these, timeout_s + max(more_s))
            return [p.seconds >= late_s + s for p, s in zip(probes, more_s, strict=True)]

        return await sampled(ends, self.share, late, "late")


def _with(probes: list[Probe], others: list[Span]) -> list[tuple[Probe, Span]]:
    return list(zip(probes, others, strict=True))


def _words(delay: float | Ramp) -> str:
    """`200 ms`, `0 ms to 500 ms over 10 s`."""
    if not isinstance(delay, Ramp):
        return format_duration(delay)
    over = f" over {format_duration(delay.over_s)}" if delay.over_s else ""
    return f"{format_duration(delay.start)} to {format_duration(delay.end)}{over}"
