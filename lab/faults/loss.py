"""`loss`: packets of a link get lost at random, as on a bad line or in a full router.

Dropped on the link's own address, silently: the sender's TCP learns of it only by what does not
come back, waits, and sends again (200 ms at least where nothing else follows: RFC 6298 and Linux).
"""

from __future__ import annotations

from typing import ClassVar

from lab.engines import Disturbance, Volley
from lab.faults.chance import plausible
from lab.faults.packets import RandomPackets
from lab.units import format_share


class Loss(RandomPackets):
    """A share of a link's packets is lost; TCP sends them again, later."""

    kind: ClassVar[str] = "loss"

    def describe(self) -> str:
        """`loss of 5 % of packets on app -> db`."""
        return f"loss of {format_share(self.share)} of packets on {self.link}"

    def disturbance(self) -> Disturbance:
        """Lost, at random."""
        return Disturbance("lose", self.stream, self.share)

    def hits(self, shot: Volley) -> int:
        """Those that did not arrive."""
        return shot.sent - shot.arrived

    def seen(self, shot: Volley, *, alone: bool) -> bool:
        """By what did not arrive, and by what the kernel's own rules of it counted."""
        return plausible(shot.lost, shot.seen, self.share) and (
            super().seen(shot, alone=alone) and self.hits(shot) > 0
        )

    def words(self, shot: Volley) -> str:
        """`24 of 500 datagrams lost`."""
        return f"{self.hits(shot)} of {shot.sent} datagrams lost"
