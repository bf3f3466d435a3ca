"""`corrupt`: bits of packets of a link turn over, as with a bad cable or a bad network card.

The receiving kernel finds the checksum wrong and drops the packet, so that TCP sends it again: to a
service it is loss. (One packet in 65,536 slips through on a real line; here exactly one bit turns
over, which the checksum always finds.)
"""

from __future__ import annotations

from typing import ClassVar

from lab.engines import Disturbance, Volley
from lab.faults.packets import RandomPackets
from lab.units import format_share


class Corrupt(RandomPackets):
    """A share of a link's packets arrives damaged; the receiving kernel drops them."""

    kind: ClassVar[str] = "corrupt"

    def describe(self) -> str:
        """`5 % of packets damaged on app -> db`."""
        return f"{format_share(self.share)} of packets damaged on {self.link}"

    def disturbance(self) -> Disturbance:
        """Damaged, at random."""
        return Disturbance("damage", self.stream, self.share)

    def hits(self, shot: Volley) -> int:
        """Those that did not arrive."""
        return shot.sent - shot.arrived

    def seen(self, shot: Volley, *, alone: bool) -> bool:
        """By what did not arrive, where the kernel says that checksums were wrong."""
        return shot.damaged > 0 and super().seen(shot, alone=alone)

    def words(self, shot: Volley) -> str:
        """`24 of 500 datagrams lost, 24 checksums wrong`."""
        lost = f"{self.hits(shot)} of {shot.sent} datagrams lost"
        return f"{lost}, {shot.damaged} checksums wrong" if shot.damaged else lost
