"""`packet_delay`: every packet of a link is late, as over a longer cable.

Unlike `latency`, which delays bytes that a proxy has accepted already, this is below TCP: opening a
connection takes its round trip, acknowledgements are late, and one connection carries no more than
its window in each round trip.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from pydantic import Field

from lab.engines import Cluster, Disturbable, Disturbance
from lab.faults.base import Observation
from lab.faults.packets import PATIENCE_S, PacketFault, names_by_end, owner_of
from lab.proxies import Way, streams
from lab.units import Seconds, format_duration, format_range

_DATAGRAMS = 5
_SEEN_SHARE = 0.9


class PacketDelay(PacketFault):
    """Every packet of a link arrives `delay` late, in order; both ways make a round trip."""

    kind: ClassVar[str] = "packet_delay"

    delay: Seconds = Field(
        ge=0.005, le=3, description="added to every packet, in each direction", examples=["50ms"]
    )
    stream: Way = Field(
        default="both",
        description="`downstream` means what the server sends, `upstream` what the client sends",
    )

    def describe(self) -> str:
        """`packets 50 ms late on app -> db`."""
        way = {"both": "", "upstream": " to the server", "downstream": " to the client"}
        return f"packets{way[self.stream]} {format_duration(self.delay)} late on {self.link}"

    def disturbance(self) -> Disturbance:
        """Held, all of them."""
        return Disturbance("hold", self.stream, delay_s=self.delay)

    async def observe(self, cluster: Cluster) -> Observation:
        """Time datagrams one way; in effect when none takes less than (nearly) the delay."""
        assert isinstance(cluster, Disturbable)  # noqa: S101 - `needs` was checked before
        owner, ends = owner_of(self), self.ends(cluster.deployment)
        places = [(end, stream) for end in ends for stream in sorted(streams(self.stream))]
        patience_s = self.delay + PATIENCE_S
        names, shots = await asyncio.gather(
            names_by_end(cluster),
            asyncio.gather(*(cluster.volley(*p, _DATAGRAMS, patience_s, owner) for p in places)),
        )
        there = [owner in names.get(end.name, ()) for end, _ in places]
        company = [bool(names.get(end.name, set()) - {owner}) for end, _ in places]
        took = [shot.shortest_s for shot in shots]
        late = [s is not None and s >= _SEEN_SHARE * self.delay for s in took]
        prompt = [s is not None and s < _SEEN_SHARE * self.delay for s in took]
        gone = [not t and (p or c) for t, p, c in zip(there, prompt, company, strict=True)]
        seen = [t and one for t, one in zip(there, late, strict=True)]
        times = [s for s in took if s is not None]
        text = f"datagrams take {format_range(times)}" if times else "no datagram arrives"
        return Observation(bool(seen) and all(seen), bool(gone) and all(gone), text)
