"""`limit_data`: a connection ends after so many bytes of replies (Toxiproxy's `limit_data` toxic).

Half an answer can look whole: a reader that does not check the length, or gets none told, takes it
for the answer.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from lab.engines import Cluster
from lab.faults.base import Observation
from lab.faults.toxic import SEEN_MAX_BYTES, SEEN_S, ToxicFault, exchange_all
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

    def describe(self) -> str:
        """`connections end after 1 KiB on app -> db`."""
        return f"connections end after {format_size(self.bytes)} on {self.link}"

    def toxics(self) -> tuple[Toxic, ...]:
        """One, towards the client."""
        return (
            Toxic(self.called("downstream"), "limit_data", "downstream", {"bytes": self.bytes}),
        )

    async def observe(self, cluster: Cluster) -> Observation:
        """Pull more; in effect when exactly so much comes and then the end."""
        size = self.bytes + _MORE_BYTES
        tries = await exchange_all(
            cluster,
            self.ends(cluster.deployment),
            size_bytes=size,
            longer_s=SEEN_S + size / _PULLED_PER_S,
        )
        ended = ("answered", "closed", "reset")
        words = {f"{t.outcome} after {format_size(t.received_bytes)}" for t in tries}
        seen = (t.outcome in ended and t.received_bytes == self.bytes for t in tries)
        return Observation.of(seen, ", ".join(sorted(words)))
