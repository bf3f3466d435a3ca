"""Calls at an exact time.

Event loops round timers to milliseconds, and uvloop counts them from the start of its current
round, so that they may also be early. Linux has timers that are files (timerfd_create(2)), exact
to the kernel's high-resolution clock; all calls share one. Elsewhere the loop's own timers serve,
and what comes early is put off once more.
"""

from __future__ import annotations

import asyncio
import ctypes
import heapq
import itertools
import os
import sys
import time
from collections.abc import Callable

_CLOCK_MONOTONIC = 1
_ABSOLUTE = 1  # TFD_TIMER_ABSTIME
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
        self._loop = loop
        self._numbers = itertools.count()
        self._heap: list[tuple[float, int, Call]] = []
        self._set_s = float("inf")
        self._file = _TimerFile(loop, self._ring) if sys.platform == "linux" else None
        self._handle: asyncio.TimerHandle | None = None

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
        if self._file:
            self._file.close()
        if self._handle:
            self._handle.cancel()

    def _set(self, at_s: float) -> None:
        self._set_s = at_s
        if self._file:
            self._file.set(at_s)
            return
        if self._handle:
            self._handle.cancel()
        self._handle = self._loop.call_later(max(0.0, at_s - time.monotonic()), self._ring)

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


class _TimerSpec(ctypes.Structure):
    """struct itimerspec: interval and value, each in seconds and nanoseconds."""

    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    )


class _TimerFile:
    """A Linux timer file that the event loop watches; Python has calls for it from 3.13 on only."""

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._file = libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._file < 0:
            raise OSError(ctypes.get_errno(), "no timer file to be had")
        self._arm = libc.timerfd_settime
        self._spec = _TimerSpec()
        self._loop, self._ring = loop, ring
        loop.add_reader(self._file, self._ready)

    def set(self, at_s: float) -> None:
        """Ring at that time, at once if it has passed."""
        self._spec.value_s, self._spec.value_ns = divmod(max(1, int(at_s * 1e9)), 1_000_000_000)
        self._arm(self._file, _ABSOLUTE, ctypes.byref(self._spec), None)

    def close(self) -> None:
        """Never ring again."""
        self._loop.remove_reader(self._file)
        os.close(self._file)

    def _ready(self) -> None:
        try:
            os.read(self._file, 8)  # the count of expirations; unread, it would stay readable
        except BlockingIOError:
            return  # set anew between its expiry and this call
        self._ring()
