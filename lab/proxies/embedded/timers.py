"""Calls at an exact time: many of them, by one alarm."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable

from lab.alarm import alarm

_EARLY_S = 0.000_05
"""What is due this soon is done now."""


class Call:
    """One call to come; `cancel` may be called at any time."""

    __slots__ = ("at_s", "call")

    def __init__(self, at_s: float, call: Callable[[], None]) -> None:
        self.at_s = at_s
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """Never call."""
        self.call = None


class Timers:
    """All calls to come of one event loop. Times are readings of `time.monotonic()`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._numbers = itertools.count()
        self._heap: list[tuple[float, int, Call]] = []
        self._set_s = float("inf")
        self._alarm = alarm(loop, self._ring)

    def at(self, at_s: float, call: Callable[[], None]) -> Call:
        """Call then, or at once if it has passed."""
        found = Call(at_s, call)
        heapq.heappush(self._heap, (at_s, next(self._numbers), found))
        if at_s < self._set_s:
            self._set(at_s)
        return found

    def close(self) -> None:
        """Call nothing any more."""
        self._heap.clear()
        self._alarm.close()

    def _set(self, at_s: float) -> None:
        self._set_s = at_s
        self._alarm.set(at_s)

    def _ring(self) -> None:
        self._set_s = float("inf")
        heap = self._heap
        try:
            while heap and heap[0][0] - _EARLY_S <= time.monotonic():
                due = heapq.heappop(heap)[2]
                if due.call is not None:
                    due.call()
        finally:  # a call that fails must not be the end of all others
            while heap and heap[0][2].call is None:
                heapq.heappop(heap)
            if heap and heap[0][0] < self._set_s:
                self._set(heap[0][0])
