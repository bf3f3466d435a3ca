"""`partition`: packets between two services are dropped, as when a switch dies.

Dropped at packet level on the links' own addresses: a new connection gets no SYN-ACK, an
established one stalls and, once healed, goes on where it was (TCP sends again, with a back-off
that can make recovery last about as long as the partition did).
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, field_validator

from lab.engines import Cluster, Partitionable
from lab.faults.base import Fault, Observation, probe_all, summary
from lab.plan import Deployment, LinkEnd


class Partition(Fault):
    """No packet passes between two services (or replicas), in either direction."""

    kind: ClassVar[str] = "partition"
    needs: ClassVar[tuple[type, ...]] = (Partitionable,)

    between: tuple[str, ...] = Field(
        description="the two sides", min_length=2, max_length=2, examples=[["app", "inventory"]]
    )

    @field_validator("between")
    @classmethod
    def _two_sides(cls, sides: tuple[str, ...]) -> tuple[str, ...]:
        if sides[0] == sides[1]:
            raise ValueError("a partition has two different sides")
        return sides

    def describe(self) -> str:
        """`partition of app | inventory`."""
        return f"partition of {self.between[0]} | {self.between[1]}"

    def ends(self, deployment: Deployment) -> list[LinkEnd]:
        """All link ends between the two sides, whichever opens the connection."""
        return deployment.ends_between(self.between[0], self.between[1])

    def targets(self, deployment: Deployment) -> tuple[str, ...]:
        """The names of its link ends."""
        return tuple(end.name for end in self.ends(deployment))

    async def inject(self, cluster: Cluster) -> None:
        """Drop the packets."""
        assert isinstance(cluster, Partitionable)  # noqa: S101 - `needs` was checked before
        await cluster.cut(self.ends(cluster.deployment))

    async def heal(self, cluster: Cluster) -> None:
        """Let packets pass."""
        assert isinstance(cluster, Partitionable)  # noqa: S101 - `needs` was checked before
        await cluster.mend(self.ends(cluster.deployment))

    async def observe(self, cluster: Cluster) -> Observation:
        """In effect when not even a connection can be established."""
        ends = self.ends(cluster.deployment)
        probes = await probe_all(cluster, ends)
        cut = [p.outcome == "silent" and p.connect_s is None for p in probes]
        traffic = await cluster.traffic()
        dropped = sum(traffic[end.name].dropped_packets for end in ends if end.name in traffic)
        text = summary(probes)
        return Observation.of(cut, f"{text}, {dropped} packets dropped" if dropped else text)
