"""What other latencies of a link add to a round trip: delays in one chain add up."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lab.engines import Cluster, Probe
from lab.faults.base import probe_all
from lab.plan import LinkEnd
from lab.proxies import Toxic

Span = tuple[float, float]
"""Seconds, at least and at most."""

_NOTHING: Span = (0.0, 0.0)


async def other_delays(cluster: Cluster, ends: Sequence[LinkEnd], mine: str) -> list[Span]:
    """For each link end, what the latencies add that are not called `mine` or `mine-3`."""
    there = await cluster.proxies.toxics()
    return [_sum(there.get(end.proxy, ()), mine) for end in ends]


async def probe_past(
    cluster: Cluster, ends: list[LinkEnd], mine: str, timeout_s: float, quick_s: float
) -> tuple[list[Probe], list[Span]]:
    """Probe every link end, and tell what other latencies may have added to that.

    They are asked for only where an answer took `quick_s` or longer, and then before and after.
    """
    probes = await probe_all(cluster, ends, timeout_s)
    none = [_NOTHING] * len(ends)
    if all(probe.seconds < quick_s for probe in probes):
        return probes, none
    before = await other_delays(cluster, ends, mine)
    if before == none:
        return probes, none
    probes = await probe_all(cluster, ends, timeout_s + max(most for _, most in before))
    after = await other_delays(cluster, ends, mine)
    both = zip(before, after, strict=True)
    return probes, [(min(b[0], a[0]), max(b[1], a[1])) for b, a in both]


def _sum(toxics: Sequence[Toxic], mine: str) -> Span:
    least_ms = most_ms = 0
    for toxic in toxics:
        if toxic.kind != "latency" or re.fullmatch(rf"{re.escape(mine)}(-\d+)?", toxic.name):
            continue
        delay_ms, jitter_ms = (toxic.attributes.get(word, 0) for word in ("latency", "jitter"))
        if toxic.toxicity >= 1:
            least_ms += max(delay_ms - jitter_ms, 0)
        most_ms += delay_ms + jitter_ms
    return least_ms / 1000, most_ms / 1000
