"""`slow_close`: the end of a connection by the server reaches its client late (a toxic).

Meanwhile both sides hold a connection that is of no use any more, which eats a limit on them.
Databases hardly notice: they say goodbye in their own protocol and do not wait.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from lab.engines import Cluster
from lab.faults.base import Observation
from lab.faults.toxic import ToxicFault, exchange_all
from lab.proxies import Toxic
from lab.units import Seconds, format_duration

_SEEN_SHARE = 0.8


class SlowClose(ToxicFault):
    """The end of a connection reaches the client `delay` late."""

    kind: ClassVar[str] = "slow_close"

    delay: Seconds = Field(ge=0.1, description="how late the end is", examples=["2s"])

    def describe(self) -> str:
        """`closing 2 s late on app -> db`."""
        return f"closing {format_duration(self.delay)} late on {self.link}"

    def toxics(self) -> tuple[Toxic, ...]:
        """One, towards the client."""
        attributes = {"delay": round(self.delay * 1000)}
        return (Toxic(self.called("downstream"), "slow_close", "downstream", attributes),)

    async def observe(self, cluster: Cluster) -> Observation:
        """Ask the server to close; in effect when the end comes (nearly) `delay` after the rest."""
        tries = await exchange_all(
            cluster, self.ends(cluster.deployment), longer_s=1.5 * self.delay
        )
        gaps_s = [None if t.last_s is None else t.seconds - t.last_s for t in tries]
        ended = [t.outcome == "answered" for t in tries]
        late_s = _SEEN_SHARE * self.delay
        words = {
            f"closed {format_duration(gap_s)} after the last byte"
            for gap_s, done in zip(gaps_s, ended, strict=True)
            if gap_s is not None and done
        }
        words |= {t.outcome for t in tries if t.outcome != "answered"}
        seen = (
            done and gap_s is not None and gap_s >= late_s
            for gap_s, done in zip(gaps_s, ended, strict=True)
        )
        return Observation.of(seen, ", ".join(sorted(words)))
