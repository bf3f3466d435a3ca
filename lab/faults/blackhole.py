"""`blackhole`: a link swallows every byte (Toxiproxy's `timeout` toxic with 0).

Connections open and stay open; nothing arrives. Healing closes them, because the bytes are gone
for good: for a silence that ends with the connection going on, use `partition`.

With `stream: downstream` requests arrive and are carried out, and only the answers are lost; when
the server ends a connection, its client hears of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar, Self

from pydantic import Field, model_validator

from lab.engines import Cluster, Exchange, Probe
from lab.faults.base import Observation, summary
from lab.faults.sample import ConnectionShare, of_share, sampled
from lab.faults.toxic import ToxicFault, exchange_all
from lab.plan import LinkEnd
from lab.proxies import Toxic, Way, streams


class Blackhole(ToxicFault):
    """Bytes of a link are swallowed; connections close on healing."""

    kind: ClassVar[str] = "blackhole"

    stream: Way = Field(
        default="both",
        description="`upstream` swallows requests, `downstream` replies to requests that arrived",
    )
    share: ConnectionShare = 1.0

    @model_validator(mode="after")
    def _one_draw(self) -> Self:
        if self.share < 1 and self.stream == "both":
            raise ValueError(
                "each stream draws for itself: write `stream: upstream`, or no `share`"
            )
        return self

    def describe(self) -> str:
        """`black hole on app -> db`."""
        what = {"both": "", "upstream": " for requests", "downstream": " for replies"}
        return f"black hole{what[self.stream]} on {of_share(self.share)}{self.link}"

    def toxics(self) -> tuple[Toxic, ...]:
        """One per stream."""
        return tuple(
            Toxic(self.called(stream), "timeout", stream, {"timeout": 0}, self.share)
            for stream in sorted(streams(self.stream), reverse=True)
        )

    async def observe(self, cluster: Cluster) -> Observation:
        """Ask the server to answer and to close.

        In effect when nothing comes back, not even the end: it does not know that it is asked. Only
        when replies alone are swallowed does the end come, of a connection that carried nothing.

        Of a share, when about that share of many connections is so.
        """
        ends = self.ends(cluster.deployment)
        if self.share < 1:
            return await sampled(ends, self.share, partial(self._swallowed, cluster), "swallowed")
        tries = await exchange_all(cluster, ends)
        probes = [
            Probe("answered" if t.received_bytes else t.outcome, t.first_s or t.seconds, None)
            for t in tries
        ]
        return Observation.of(map(self._is_hit, tries), summary(probes))

    async def _swallowed(self, cluster: Cluster, ends: Sequence[LinkEnd]) -> list[bool]:
        return [self._is_hit(one) for one in await exchange_all(cluster, ends)]

    def _is_hit(self, one: Exchange) -> bool:
        wanted = "closed" if self.stream == "downstream" else "silent"
        return one.outcome == wanted and not one.received_bytes
