"""`partition`: packets between services are dropped, as when a switch dies.

Dropped at packet level on the links' own addresses: a new connection gets no SYN-ACK, an
established one stalls and, once healed, goes on where it was (TCP sends again, with a back-off
that can make recovery last about as long as the partition did).

Several may cut one link at once: packets pass again when the last of them has healed.

One way, new connections hang as well, because a handshake needs both ways. On one that is there
already, bytes go on arriving the other way; with real packets only about a window of them, since
their acknowledgements are dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Annotated, ClassVar, Self

from pydantic import ConfigDict, Field, model_validator

from lab.engines import Cluster, Partitionable
from lab.faults.base import PROBE_TIMEOUT_S, Fault, Member, Observation, probe_all, summary
from lab.faults.members import is_client, is_server
from lab.faults.packets import owner_of
from lab.plan import Deployment, LinkEnd
from lab.proxies import Stream, Way, streams
from lab.topology import CLIENT

RING_MIN = 4
"""In a ring of three, everybody is everybody's neighbour."""

Members = tuple[Member, ...]
Group = Annotated[Members, Field(min_length=1)]


class Partition(Fault):
    """No packet passes between some services, replicas (`app-1`, `app-*`) or the `client`."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": [shape]} for shape in ("between", "groups", "isolate", "ring")],
            "examples": [{"between": ["app", "inventory"]}],
        }
    )
    kind: ClassVar[str] = "partition"
    needs: ClassVar[tuple[type, ...]] = (Partitionable,)

    between: Members | None = Field(
        default=None,
        description="the two sides that no longer hear each other",
        min_length=2,
        max_length=2,
        examples=[["app", "inventory"]],
    )
    one_way: bool = Field(
        default=False,
        description="with `between`: only packets from the first side to the second are dropped",
    )
    groups: tuple[Group, ...] | None = Field(
        default=None,
        description="two listed members hear each other only if a group holds both",
        min_length=2,
        examples=[[["etcd-1", "etcd-2"], ["etcd-3"]]],
    )
    isolate: Member | None = Field(
        default=None,
        description="cut off from every other service",
        examples=["etcd-1", "leader of etcd"],
    )
    also_client: bool = Field(
        default=False, description="with `isolate`: also cut off from the load (the `client`)"
    )
    ring: Members | None = Field(
        default=None,
        description="each member hears only the one before and the one after it, around",
        min_length=RING_MIN,
        examples=[["node-1", "node-2", "node-3", "node-4"]],
    )

    @model_validator(mode="after")
    def _one_shape(self) -> Self:
        shapes = (self.between, self.groups, self.isolate, self.ring)
        if sum(shape is not None for shape in shapes) != 1:
            raise ValueError("a partition has one of `between`, `groups`, `isolate` and `ring`")
        if self.one_way and self.between is None:
            raise ValueError("`one_way` goes with `between`, which says from where to where")
        if self.also_client and self.isolate is None:
            raise ValueError("`also_client` goes with `isolate`; elsewhere list `client`")
        for members in (self.between, self.ring):
            if members and len(set(members)) < len(members):
                raise ValueError("a partition has different sides, and one of these is twice there")
        return self

    def describe(self) -> str:
        """`partition of app | inventory`."""
        if self.between:
            if self.one_way:
                return f"partition from {self.between[0]} to {self.between[1]}, one way"
            return f"partition of {' | '.join(self.between)}"
        if self.groups:
            return f"partition into {' | '.join(' + '.join(group) for group in self.groups)}"
        if self.isolate:
            return f"isolation of {self.isolate}" + (" (client too)" if self.also_client else "")
        return f"ring of {', '.join(self.ring or ())}"

    def members(self) -> Members:
        """All that it names."""
        groups = [member for group in self.groups or () for member in group]
        isolated = [self.isolate] if self.isolate else []
        return (*(self.between or ()), *groups, *isolated, *(self.ring or ()))

    def cuts(self, deployment: Deployment) -> dict[str, tuple[LinkEnd, Way]]:
        """The link ends that are cut, by name, and which way."""
        found = ((end, self._way(end)) for end in deployment.ends)
        return {end.name: (end, way) for end, way in found if way}

    def targets(self, deployment: Deployment) -> tuple[str, ...]:
        """The names of its link ends."""
        return tuple(self.cuts(deployment))

    def places(self, deployment: Deployment) -> set[tuple[str, str]]:
        """Its targets, in its own name: others may cut the same, and each heals alone."""
        return {(target, owner_of(self)) for target in self.targets(deployment)}

    async def inject(self, cluster: Cluster) -> None:
        """Drop the packets."""
        assert isinstance(cluster, Partitionable)  # noqa: S101 - `needs` was checked before
        for way, ends in self._by_way(cluster.deployment):
            await cluster.cut(ends, way, owner_of(self))

    async def heal(self, cluster: Cluster) -> None:
        """Let packets pass."""
        assert isinstance(cluster, Partitionable)  # noqa: S101 - `needs` was checked before
        for way, ends in self._by_way(cluster.deployment):
            await cluster.mend(ends, way, owner_of(self))

    async def observe(self, cluster: Cluster) -> Observation:
        """In effect when it drops, nothing sent that way arrives and no new connection is answered.

        Gone when it does not drop and things arrive, or another partition keeps them: connections
        may be silent for another reason.
        """
        assert isinstance(cluster, Partitionable)  # noqa: S101 - `needs` was checked before
        cuts = list(self.cuts(cluster.deployment).values())
        ends = [end for end, _ in cuts]
        probes, passing, names = await asyncio.gather(
            probe_all(cluster, ends),
            asyncio.gather(*(cluster.passing(end, PROBE_TIMEOUT_S) for end in ends)),
            cluster.cuts(),
        )
        meant = [streams(way) for _, way in cuts]
        ours = [owner_of(self) in names.get(end.name, ()) for end in ends]
        in_effect = all(
            here and probe.outcome == "silent" and not wanted & found
            for here, probe, wanted, found in zip(ours, probes, meant, passing, strict=True)
        )
        gone = all(
            not here and (wanted <= found or end.name in names)
            for here, end, wanted, found in zip(ours, ends, meant, passing, strict=True)
        )
        text = f"{summary(probes)}, {_passing_text(passing)}"
        traffic = await cluster.traffic()
        dropped = sum(traffic[end.name].dropped_packets for end in ends if end.name in traffic)
        if dropped:
            text += f", {dropped} packets dropped"
        return Observation(bool(cuts) and in_effect, bool(cuts) and gone, text)

    def _by_way(self, deployment: Deployment) -> Iterator[tuple[Way, list[LinkEnd]]]:
        cuts = self.cuts(deployment).values()
        ways: tuple[Way, ...] = ("both", "upstream", "downstream")
        for way in ways:
            ends = [end for end, its_way in cuts if its_way == way]
            if ends:
                yield way, ends

    def _way(self, end: LinkEnd) -> Way | None:
        """Which way this link end is cut; None when it is not."""
        if self.between:
            return self._between_way(end, *self.between)
        if self.groups:
            return "both" if self._apart(end, self.groups) else None
        if self.isolate:
            ours = is_client(end, [self.isolate], self._found)
            theirs = is_server(end, [self.isolate], self._found)
            spared = end.link.client == CLIENT and not self.also_client
            apart = ours != theirs if self.made else ours or theirs
            return "both" if apart and not spared else None
        ring = self.ring or ()
        pairs = zip(ring, (*ring[1:], ring[0]), strict=True)
        return "both" if self._apart(end, tuple(pairs)) else None

    def _between_way(self, end: LinkEnd, one: str, other: str) -> Way | None:
        """Packets from one side to the other: upstream if that side opens the connection."""
        up = is_client(end, [one], self._found) and is_server(end, [other], self._found)
        down = is_client(end, [other], self._found) and is_server(end, [one], self._found)
        if (up or down) and (up == down or not self.one_way):
            return "both"
        return "upstream" if up else "downstream" if down else None

    def _apart(self, end: LinkEnd, groups: tuple[Members, ...]) -> bool:
        """Whether both ends are listed, and no group holds both."""
        found = self._found
        listed = [member for group in groups for member in group]
        if not (is_client(end, listed, found) and is_server(end, listed, found)):
            return False
        return not self.made or not any(
            is_client(end, g, found) and is_server(end, g, found) for g in groups
        )


def _passing_text(passing: list[frozenset[Stream]]) -> str:
    """`packets pass both ways`, `… no way`, `… upstream only`; several are listed once each."""
    words = {
        "both ways"
        if len(found) == len(streams("both"))
        else f"{next(iter(found))} only"
        if found
        else "no way"
        for found in passing
    }
    return f"packets pass {' or '.join(sorted(words))}" if words else "no link"
