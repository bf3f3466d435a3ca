"""`slow_connect`: opening a connection takes long, what goes over it then does not.

What a full backlog, a firewall that looks things up, or a TLS terminator under load looks like to a
client; only a timeout on connecting helps, which `latency` never exercises, because a proxy accepts
at once (Toxiproxy has no such toxic). The first packet of each connection is held in the kernel and
goes on later; the client's kernel may send it again meanwhile (after 1 s).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from lab.engines import Cluster, Disturbance, Probe
from lab.faults.base import PROBE_TIMEOUT_S, Observation, probe_all
from lab.faults.packets import PacketFault, names_by_end, owner_of
from lab.units import Seconds, format_duration, format_range

_SEEN_SHARE = 0.9


class SlowConnect(PacketFault):
    """Connections over a link come about `delay` late, and are then as quick as ever."""

    kind: ClassVar[str] = "slow_connect"

    delay: Seconds = Field(ge=0.02, le=30, description="how long connecting takes", examples=["1s"])

    def describe(self) -> str:
        """`connecting takes 1 s on app -> db`."""
        return f"connecting takes {format_duration(self.delay)} on {self.link}"

    def disturbance(self) -> Disturbance:
        """The first packet of each connection is held."""
        return Disturbance("hold", "upstream", delay_s=self.delay, opening=True)

    async def observe(self, cluster: Cluster) -> Observation:
        """Time connecting; in effect when it takes (nearly) the delay, and what follows does not.

        Where no connection comes about for another reason, it is gone when the kernel holds none.
        """
        owner, ends = owner_of(self), self.ends(cluster.deployment)
        names, probes = await asyncio.gather(
            names_by_end(cluster), probe_all(cluster, ends, self.delay + PROBE_TIMEOUT_S)
        )
        seen, gone = [], []
        for end, probe in zip(ends, probes, strict=True):
            whys = names.get(end.name, set())
            there, company = owner in whys, bool(whys - {owner})
            took_s = probe.connect_s
            if took_s is None and probe.outcome != "silent":
                took_s = probe.seconds  # refused or reset: an answer to the first packet as well
            late = took_s is not None and took_s >= _SEEN_SHARE * self.delay
            seen.append(there and late)
            gone.append(not there and (company or not late))
        return Observation(bool(seen) and all(seen), bool(gone) and all(gone), words(probes))


def words(probes: Sequence[Probe]) -> str:
    """`connected after 303 ms to 304 ms, answered 2.08 ms later`; what else came, once each."""
    made = [(p.connect_s, p.seconds - p.connect_s) for p in probes if p.connect_s is not None]
    said = sorted({f"not connected: {p.outcome}" for p in probes if p.connect_s is None})
    if made:
        outcomes = " or ".join(sorted({p.outcome for p in probes if p.connect_s is not None}))
        after = format_range([one for one, _ in made])
        later = format_range([other for _, other in made])
        said.insert(0, f"connected after {after}, {outcomes} {later} later")
    return ", ".join(said) or "no link"
