"""What faults of single packets have in common: begun and ended by name, seen by datagrams.

        client ──────▶ [ packets of the link's address ] ──────▶ proxy ──────▶ server
               ◀──────                                   ◀──────

They act below TCP, between a client and the proxy of its link: TCP sends again what is lost, puts
back into order what was overtaken, and drops what came twice. What a service sees is its slowness.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from lab.engines import Cluster, Disturbable, Disturbance, Partitionable, Volley
from lab.errors import EngineError
from lab.faults.base import Fault, LinkFault, Observation
from lab.faults.chance import plausible
from lab.plan import Deployment
from lab.proxies import Way, streams
from lab.units import Share

PATIENCE_S = 0.1
"""How long to listen after the last datagram; here they take well under a millisecond."""

_HITS_WANTED = 12
"""How many packets to expect among the datagrams on which it shows: then none is a rare sight."""

_SENT_MIN, _SENT_MAX = 200, 2500

SMALLEST_SHARE, LARGEST_SHARE = 0.005, 0.9
"""Below, too many datagrams would be needed to see it; above, hardly a connection comes about."""

NEEDS_KERNEL = "packets are dropped, held and changed by a kernel, with rights over its network"


def owner_of(fault: Fault) -> str:
    """In whose name it changes packets: this very value's, so that one like it heals alone."""
    return f"{fault.kind}-{id(fault):x}"


class PacketFault(LinkFault):
    """A link fault that changes single packets; several of one kind may be on a link at once."""

    needs: ClassVar[tuple[type, ...]] = (Disturbable,)
    why_needed: ClassVar[str] = NEEDS_KERNEL

    @abstractmethod
    def disturbance(self) -> Disturbance:
        """What happens to packets."""

    async def prepare(self, cluster: Cluster) -> None:
        """Refuse it where the kernel lacks something for it."""
        assert isinstance(cluster, Disturbable)  # noqa: S101 - `needs` was checked before
        if why := cluster.lacking(self.disturbance()):
            raise EngineError(
                f"{self.describe()}: this kernel cannot do that: {why}",
                remedy="`lab doctor` says what it can, and which modules are missing",
            )

    def places(self, deployment: Deployment) -> set[tuple[str, str]]:
        """Its targets, in its own name: others may be there too, and each heals alone."""
        return {(target, owner_of(self)) for target in self.targets(deployment)}

    async def inject(self, cluster: Cluster) -> None:
        """Begin on every end of the link at once."""
        assert isinstance(cluster, Disturbable)  # noqa: S101 - `needs` was checked before
        ends = self.ends(cluster.deployment)
        await cluster.disturb(ends, self.disturbance(), owner_of(self))

    async def heal(self, cluster: Cluster) -> None:
        """End it."""
        assert isinstance(cluster, Disturbable)  # noqa: S101 - `needs` was checked before
        await cluster.settle(self.ends(cluster.deployment), owner_of(self))


class RandomPackets(PacketFault):
    """A packet fault that chance decides on for each packet."""

    share: Share = Field(
        ge=SMALLEST_SHARE,
        le=LARGEST_SHARE,
        description="of the packets: chance decides for each one",
        examples=["5%"],
    )
    stream: Way = Field(
        default="both",
        description="`downstream` means what the server sends, `upstream` what the client sends",
    )

    @abstractmethod
    def hits(self, shot: Volley) -> int:
        """On how many of the datagrams it showed."""

    @abstractmethod
    def words(self, shot: Volley) -> str:
        """What was counted, in words."""

    def seen(self, shot: Volley, *, alone: bool) -> bool:
        """Whether chance explains the count; in company, which has a part in it, whether any is."""
        return plausible(self.hits(shot), shot.sent, self.share) or (
            not alone and self.hits(shot) > 0
        )

    @property
    def patience_s(self) -> float:
        """How long to listen after the last datagram."""
        return PATIENCE_S

    async def observe(self, cluster: Cluster) -> Observation:
        """Send datagrams over each link end; in effect when about the share of them is hit."""
        return await shoot_all(self, cluster)


async def shoot_all(fault: RandomPackets, cluster: Cluster) -> Observation:
    """Look at every stream of every end of its link, with datagrams.

    In effect when it shows and the kernel has its rules; gone when it has none and nothing shows,
    or what shows has another's name.
    """
    assert isinstance(cluster, Disturbable)  # noqa: S101 - `needs` was checked before
    owner, ends = owner_of(fault), fault.ends(cluster.deployment)
    count = round(min(max(_HITS_WANTED / fault.share, _SENT_MIN), _SENT_MAX))
    places = [(end, stream) for end in ends for stream in sorted(streams(fault.stream))]
    names, shots = await asyncio.gather(
        names_by_end(cluster),
        asyncio.gather(
            *(cluster.volley(*place, count, fault.patience_s, owner) for place in places)
        ),
    )
    seen, gone = [], []
    for (end, _), shot in zip(places, shots, strict=True):
        there, others = owner in names.get(end.name, ()), names.get(end.name, set()) - {owner}
        seen.append(there and fault.seen(shot, alone=not others))
        gone.append(not there and (fault.hits(shot) == 0 or bool(others)))
    text = fault.words(total(shots)) if shots else "no link"
    return Observation(bool(seen) and all(seen), bool(gone) and all(gone), text)


def total(shots: Sequence[Volley]) -> Volley:
    """All of them counted together."""

    def count(field: str) -> int:
        return sum(getattr(shot, field) for shot in shots)

    times = [s for shot in shots for s in (shot.shortest_s, shot.longest_s) if s is not None]
    return Volley(
        sent=count("sent"),
        arrived=count("arrived"),
        copies=count("copies"),
        overtaken=count("overtaken"),
        damaged=count("damaged"),
        shortest_s=min(times, default=None),
        longest_s=max(times, default=None),
        seen=count("seen"),
        lost=count("lost"),
    )


async def names_by_end(cluster: Cluster) -> dict[str, set[str]]:
    """In whose names packets of link ends are cut, lost or changed, as the kernel has it."""
    assert isinstance(cluster, Disturbable)  # noqa: S101 - `needs` was checked before
    assert isinstance(cluster, Partitionable)  # noqa: S101 - who changes packets can cut a link
    found = {name: set(whys) for name, whys in (await cluster.disturbed()).items()}
    for name, whys in (await cluster.cuts()).items():
        found.setdefault(name, set()).update(whys)
    return found
