"""Faults that hit a share of the connections: proved by many tries, and by chance's own laws."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated

from pydantic import Field

from lab.faults.base import Observation
from lab.faults.chance import plausible
from lab.plan import LinkEnd
from lab.units import Share, format_share

_TRIES_MIN, _TRIES_MAX = 20, 100
_HITS_WANTED = 5
"""How many hits to expect among the tries: then none is a rare sight."""

_AT_ONCE = 4
"""Fewer than the smallest usual backlog of a server (5): a dropped SYN is a second of silence."""

ConnectionShare = Annotated[
    Share,
    Field(
        ge=0.02,
        le=1,
        description="of the connections: chance decides for each one, when it opens",
        examples=["20%"],
    ),
]
"""Another toxic that comes or goes on the link makes Toxiproxy draw anew (`link.go`)."""


def of_share(share: float) -> str:
    """`20 % of connections of `, or nothing when it is all of them."""
    return f"{format_share(share)} of connections of " if share < 1 else ""


Try = Callable[[Sequence[LinkEnd]], Awaitable[Sequence[bool]]]
"""Tries each of these link ends on a new connection, side by side: which were hit."""


async def sampled(ends: Sequence[LinkEnd], share: float, try_all: Try, hit: str) -> Observation:
    """In effect when about that share is hit on every link end; gone when nothing is on any."""
    tries = min(max(round(_HITS_WANTED / share), _TRIES_MIN), _TRIES_MAX)
    hits = [0] * len(ends)
    for number, end in enumerate(ends):
        for done in range(0, tries, _AT_ONCE):
            hits[number] += sum(await try_all([end] * min(_AT_ONCE, tries - done)))
    seen = all(plausible(count, tries, share) for count in hits)
    text = f"{sum(hits)} of {tries * len(ends)} connections {hit}"
    return Observation(bool(ends) and seen, bool(ends) and not any(hits), text)
