"""`duplicate`: packets of a link arrive twice, as after a loop or a rerouted retransmission.

TCP drops the second one and tells the sender of it; a protocol over datagrams has to know by itself
that it did something already.
"""

from __future__ import annotations

from typing import ClassVar

from lab.engines import Disturbance, Volley
from lab.faults.packets import RandomPackets
from lab.units import format_share


class Duplicate(RandomPackets):
    """A share of a link's packets arrives twice."""

    kind: ClassVar[str] = "duplicate"

    def describe(self) -> str:
        """`5 % of packets twice on app -> db`."""
        return f"{format_share(self.share)} of packets twice on {self.link}"

    def disturbance(self) -> Disturbance:
        """Sent twice, at random."""
        return Disturbance("double", self.stream, self.share)

    def hits(self, shot: Volley) -> int:
        """Those that came once more."""
        return shot.copies

    def words(self, shot: Volley) -> str:
        """`24 of 500 datagrams came twice`."""
        return f"{shot.copies} of {shot.sent} datagrams came twice"
