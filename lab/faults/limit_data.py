"""`limit_data`: a connection ends after so many bytes of replies (Toxiproxy's `limit_data` toxic).

Half an answer can look whole: a reader that does not check the length, or gets none told, takes it
for the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from pydantic import Field

from lab.engines import Cluster, Exchange
from lab.faults.base import Observation
from lab.faults.sample import ConnectionShare, of_share, sampled
from lab.faults.toxic import SEEN_MAX_BYTES, SEEN_S, ToxicFault, exchange_all
from lab.plan import LinkEnd
from lab.proxies import Toxic
from lab.units import Bytes, format_size

_MORE_BYTES = 2_000
_PULLED_PER_S = 100_000
"""How fast answers can be pulled at least."""


class LimitData(ToxicFault):
    """Each connection of a link ends after `bytes` towards the client."""

    kind: ClassVar[str] = "limit_data"

    bytes: Bytes = Field(
        ge=0,
        le=SEEN_MAX_BYTES,
        description="of replies per connection; 0 closes at the first one, unanswered",
        examples=["1KiB"],
    )
    share: ConnectionShare = 1.0

    def describe(self) -> str:
        """`connections end after 1 KiB on app -> db`."""
        size = format_size(self.bytes)
        return f"connections end after {size} on {of_share(self.share)}{self.link}"

    def toxics(self) -> tuple[Toxic, ...]:
        """One, towards the client."""
        name, attributes = self.called("downstream"), {"bytes": self.bytes}
        return (Toxic(name, "limit_data", "downstream", attributes, self.share),)

    async def observe(self, cluster: Cluster) -> Observation:
        """Pull more; in effect when exactly so much comes and then the end.

        Of a share, when about that share of many connections ends so.
        """
        ends = self.ends(cluster.deployment)
        if self.share < 1:
            return await sampled(ends, self.share, partial(self._ended, cluster), "ended early")
        tries = await self._pull(cluster, ends)
        words = {f"{t.outcome} after {format_size(t.received_bytes)}" for t in tries}
        return Observation.of(map(self._is_hit, tries), ", ".join(sorted(words)))

    async def _ended(self, cluster: Cluster, ends: Sequence[LinkEnd]) -> list[bool]:
        return [self._is_hit(one) for one in await self._pull(cluster, ends)]

    async def _pull(self, cluster: Cluster, ends: Sequence[LinkEnd]) -> list[Exchange]:
        size = self.bytes + _MORE_BYTES
        longer_s = SEEN_S + size / _PULLED_PER_S
        return await exchange_all(cluster, ends, size_bytes=size, longer_s=longer_s)

    def _is_hit(self, one: Exchange) -> bool:
        return one.outcome in ("answered", "closed", "reset") and one.received_bytes == self.bytes
