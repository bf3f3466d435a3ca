"""What the faults of one run have to do with each other: who holds what, and who goes first.

Toxics act in the order in which they were added, and that order matters: a delay before a narrow
line is not a narrow line before a delay. So faults that start in the same moment on the same link
take turns, in the order of the file; one that starts later comes after those that are there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from lab.errors import InjectionError
from lab.faults.base import Fault
from lab.plan import Deployment

_SAME_S = 1e-6

Place = tuple[str, str, str]
"""Kind, target and stream."""


@dataclass(slots=True, eq=False)
class Turn:
    """One fault's place in the line; `over` once it is injected, or never will be."""

    start: tuple[float, str]
    links: Collection[str]
    over: asyncio.Event = field(default_factory=asyncio.Event)


class Together:
    """Shared by all injections of a run, which join in the order of the file."""

    def __init__(self) -> None:
        self._held: dict[Place, str] = {}
        self._line: list[Turn] = []

    def join(self, fault: Fault, deployment: Deployment, start: tuple[float, str]) -> Turn:
        """Get in line; `start` is when it starts, and on what condition."""
        links = fault.targets(deployment) if fault.in_chain else ()
        turn = Turn(start, frozenset(links))
        self._line.append(turn)
        return turn

    async def wait(self, turn: Turn) -> None:
        """Until everybody is injected who goes before it."""
        for other in self._line[: self._line.index(turn)]:
            same = abs(other.start[0] - turn.start[0]) < _SAME_S
            if same and other.start[1] == turn.start[1] and set(other.links) & set(turn.links):
                await other.over.wait()

    @contextmanager
    def holding(self, fault: Fault, name: str, deployment: Deployment) -> Iterator[None]:
        """Have the targets, unless another fault of the kind has one of them.

        Raises:
            InjectionError: healing one of the two would heal both.
        """
        places: set[Place] = {(fault.kind, *place) for place in fault.places(deployment)}
        for place in sorted(places & self._held.keys()):
            raise InjectionError(
                f"{fault.text()}: `{self._held[place]}` is on {place[1]} at that time too, "
                "and healing one heals both"
            )
        self._held.update(dict.fromkeys(places, name))
        try:
            yield
        finally:
            if not fault.permanent:
                for place in places:
                    del self._held[place]
