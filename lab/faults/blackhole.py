"""`blackhole`: a link swallows every byte (Toxiproxy's `timeout` toxic with 0).

Connections open and stay open; nothing arrives. Healing closes them, because the bytes are gone
for good: for a silence that ends with the connection going on, use `partition`.

With `stream: downstream` requests arrive and are carried out, and only the answers are lost; when
the server ends a connection, its client hears of that.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from lab.engines import Cluster, Probe
from lab.faults.base import Observation, summary
from lab.faults.toxic import ToxicFault, exchange_all
from lab.proxies import Toxic, Way, streams


class Blackhole(ToxicFault):
    """Bytes of a link are swallowed; connections close on healing."""

    kind: ClassVar[str] = "blackhole"

    stream: Way = Field(
        default="both",
        description="`upstream` swallows requests, `downstream` replies to requests that arrived",
    )

    def describe(self) -> str:
        """`black hole on app -> db`."""
        what = {"both": "", "upstream": " for requests", "downstream": " for replies"}
        return f"black hole{what[self.stream]} on {self.link}"

    def toxics(self) -> tuple[Toxic, ...]:
        """One per stream."""
        return tuple(
            Toxic(self.called(stream), "timeout", stream, {"timeout": 0})
            for stream in sorted(streams(self.stream), reverse=True)
        )

    async def observe(self, cluster: Cluster) -> Observation:
        """Ask the server to answer and to close.

        In effect when nothing comes back, not even the end: it does not know that it is asked. Only
        when replies alone are swallowed does the end come, of a connection that carried nothing.
        """
        tries = await exchange_all(cluster, self.ends(cluster.deployment))
        wanted = "closed" if self.stream == "downstream" else "silent"
        seen = (t.outcome == wanted and not t.received_bytes for t in tries)
        probes = [
            Probe("answered" if t.received_bytes else t.outcome, t.first_s or t.seconds, None)
            for t in tries
        ]
        return Observation.of(seen, summary(probes))
