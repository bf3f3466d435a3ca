"""A declared capacity: N slots, each busy S seconds per request, serve N / S requests a second.

Capacity is slots and time, never CPU, so that an experiment means the same on every machine.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

from prometheus_client import Counter, Gauge
from starlette.requests import Request

BUSY = Gauge("app_slots_busy", "Slots taken.")
QUEUE_DEPTH = Gauge("app_queue_depth", "Requests that wait for a slot.")
SHED = Counter("app_shed", "Requests turned away because too many were there already.")
WASTED = Counter("app_wasted_work", "Requests finished after the caller had left.")


class FullError(Exception):
    """The queue is at its cap; `labkit.service` answers 503."""


class Slots:
    """At most `slots` holders at once; the others wait, first come, first served.

    Args:
        slots: how many may hold one at the same time.
        queue_cap: how many may wait before newcomers are turned away; None is no limit.
    """

    def __init__(self, slots: int, queue_cap: int | None = None) -> None:
        self._free = asyncio.Semaphore(slots)
        self._queue_cap = queue_cap
        self._waiting = 0

    async def __aenter__(self) -> None:
        if self._free.locked() and self._waiting == self._queue_cap:
            SHED.inc()
            raise FullError
        self._wait(+1)
        try:
            await self._free.acquire()
        finally:
            self._wait(-1)
        BUSY.inc()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        BUSY.dec()
        self._free.release()

    def _wait(self, change: int) -> None:
        self._waiting += change
        QUEUE_DEPTH.inc(change)


async def count_if_wasted(request: Request) -> None:
    """Count finished work whose caller hung up; a server learns that only by looking."""
    if await request.is_disconnected():
        WASTED.inc()
