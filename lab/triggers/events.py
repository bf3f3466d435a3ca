"""Events that services report (docs/failpoints.md): a request to each that waits for the next one.

An event's time is on the service's own clock; the answer says what that clock reads, so how old
the event is needs no common clock. Being told takes as long as an answer: a few milliseconds.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any, NamedTuple
from urllib.parse import urlencode

from lab.clock import Clock
from lab.engines import Cluster
from lab.errors import EngineError
from lab.plan import Instance

LEAD_S = 0.3
"""Following begins so long before events count: whoever is told to keep them must hear it."""

WAIT_S = 1.0
"""How long a request waits for an event. Not longer: a service that is asked to end waits for it,
and a condition that never came true says which events there were until a moment ago."""

_AGAIN_S = 0.05
"""Between requests to a service that does not answer: it is down, stopped or starting."""

_BREATH_S = 0.02
"""Between requests to one that answers at once without news: it cannot wait."""

_WANTED = {"life", "last", "clock_s", "events", "known"}


class Heard(NamedTuple):
    """One event: when it happened in run seconds, and who told."""

    at_s: float
    instance: str


class Follower:
    """Follows one event of one instance, over its restarts. `known` are all names it has passed."""

    def __init__(self, cluster: Cluster, clock: Clock, instance: Instance, name: str) -> None:
        self._cluster, self._clock = cluster, clock
        self._instance, self._name = instance, name
        self._after, self._life = 0, ""
        self.known: tuple[str, ...] = ()

    async def tell_it(self) -> None:
        """Ask once, without waiting: from then on the service keeps these events.

        Raises:
            EngineError: it does not answer, or reports no events.
        """
        await self._ask(0.0)

    async def first(self, from_s: float) -> Heard:
        """The first event that happened then or later."""
        await asyncio.sleep(max(0.0, from_s - LEAD_S - self._clock.now()))
        wait_s = 0.0
        while True:
            asked_s = self._clock.now()
            try:
                told = await self._ask(wait_s)
            except EngineError:
                await asyncio.sleep(_AGAIN_S)
                continue
            heard_s = self._clock.now()
            for event in told["events"]:
                at_s = heard_s - (told["clock_s"] - event["at_s"])
                if at_s >= from_s:
                    return Heard(at_s, self._instance.name)
            if wait_s and not told["events"] and heard_s - asked_s < _BREATH_S:
                await asyncio.sleep(_BREATH_S)
            wait_s = WAIT_S

    async def _ask(self, wait_s: float) -> dict[str, Any]:
        """What has happened since it was last asked.

        Raises:
            EngineError: it does not answer, or says something else.
        """
        query = {
            "names": self._name,
            "after": self._after,
            "life": self._life,
            "wait_s": f"{wait_s:g}",
        }
        path = f"/_lab/events?{urlencode(query)}"
        status, body = await self._cluster.http(self._instance, "GET", path)
        try:
            told = _told(status, body)
        except ValueError as error:
            raise EngineError(
                f"{self._instance.name} reports no events at /_lab/events: {error}",
                remedy="docs/failpoints.md says how a service reports events",
            ) from error
        self._after, self._life = told["last"], told["life"]
        self.known = tuple(told["known"])
        return told


def _told(status: int, body: str) -> dict[str, Any]:
    """An answer, with all that is wanted of it.

    Raises:
        ValueError: it is not one.
    """
    if status != 200:
        raise ValueError(f"it answered {status}")
    told = json.loads(body)
    if not isinstance(told, dict) or not told.keys() >= _WANTED:
        raise ValueError(f"an answer has {', '.join(sorted(_WANTED))}, and this is {body[:100]!r}")
    return told
