"""`reorder`: some packets of a link come late and are overtaken, as over two unequal paths.

TCP puts them back into order, and takes a packet for lost when three later ones have come (RFC
5681): it sends it again for nothing, and goes slower.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from lab.engines import Disturbance, Volley
from lab.faults.packets import PATIENCE_S, RandomPackets
from lab.units import Seconds, format_duration, format_share


class Reorder(RandomPackets):
    """A share of a link's packets comes `delay` late, after others that were sent later."""

    kind: ClassVar[str] = "reorder"

    delay: Seconds = Field(
        default=0.02,
        ge=0.005,
        le=1,
        description="how late these are; what is sent meanwhile overtakes them",
        examples=["20ms"],
    )

    def describe(self) -> str:
        """`5 % of packets overtaken for 20 ms on app -> db`."""
        share, delay = format_share(self.share), format_duration(self.delay)
        return f"{share} of packets overtaken for {delay} on {self.link}"

    def disturbance(self) -> Disturbance:
        """Held, at random."""
        return Disturbance("hold", self.stream, self.share, self.delay)

    @property
    def patience_s(self) -> float:
        """Long enough for those that are held."""
        return PATIENCE_S + self.delay

    def hits(self, shot: Volley) -> int:
        """Those that came after a later one."""
        return shot.overtaken

    def words(self, shot: Volley) -> str:
        """`24 of 500 datagrams overtaken`."""
        return f"{shot.overtaken} of {shot.sent} datagrams overtaken"
