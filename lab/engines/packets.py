"""What a cluster may be able to do to single packets: of a link, or of a whole instance.

Small protocols as in `lab.engines.abilities`. Every change bears the name in which it was made
(`why`), so that several of one link or instance are there side by side and end each alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from lab.plan import Instance, LinkEnd
    from lab.proxies import Stream, Way


@dataclass(frozen=True, slots=True)
class Disturbance:
    """What happens to packets of a link, at random to a `share` of them.

    `lose` drops them, `hold` lets them go on after `delay_s`, `double` sends them twice, `damage`
    turns a bit over, which the receiver's checksum finds. `opening` means only those that open a
    connection.
    """

    kind: Literal["lose", "hold", "double", "damage"]
    way: Way = "both"
    share: float = 1.0
    delay_s: float = 0.0
    opening: bool = False


@dataclass(frozen=True, slots=True)
class Volley:
    """What became of datagrams over a link: how many arrived, not counting copies; how many copies.

    `overtaken` came after a later one, `damaged` had a wrong checksum. `seen` and `lost` are what
    rules that lose packets counted meanwhile, of any traffic. The times they took lie between
    `shortest_s` and `longest_s`; None when none arrived.
    """

    sent: int
    arrived: int
    copies: int
    overtaken: int
    damaged: int
    shortest_s: float | None
    longest_s: float | None
    seen: int = 0
    lost: int = 0


@runtime_checkable
class Disturbable(Protocol):
    """Packets of a link can be lost, held, doubled and damaged, each at random."""

    def lacking(self, disturbance: Disturbance) -> str:
        """What the kernel lacks for it, in its own words; "" when nothing."""
        ...

    async def disturb(self, ends: Sequence[LinkEnd], disturbance: Disturbance, why: str) -> None:
        """Begin, in that name; twice is once."""
        ...

    async def settle(self, ends: Sequence[LinkEnd], why: str) -> None:
        """End all that was begun on these link ends in that name.

        Packets that are held for it go on at once.
        """
        ...

    async def disturbed(self) -> Mapping[str, Sequence[str]]:
        """In whose names something happens to packets of a link end, as the kernel has it."""
        ...

    async def volley(
        self, end: LinkEnd, stream: Stream, count: int, timeout_s: float, why: str
    ) -> Volley:
        """Send so many datagrams over a link one way; `why` says whose losses are counted."""
        ...


@runtime_checkable
class Unpluggable(Protocol):
    """An instance can lose its network whole: no packet in or out, whoever it is from."""

    async def unplug(self, instance: Instance, why: str) -> None:
        """Pull its cable, in that name; it stays pulled when the instance starts again.

        Its links are cut as well, as by `Partitionable.cut`.
        """
        ...

    async def plug(self, instance: Instance, why: str) -> None:
        """Put it back, unless somebody else has pulled it too."""
        ...

    async def unplugged(self, instance: Instance) -> Sequence[str]:
        """In whose names its packets are dropped, as its kernel has it; also makes ready to."""
        ...

    async def reaches(self, instance: Instance, timeout_s: float) -> bool:
        """Whether a packet sent to its real address is answered."""
        ...
