"""Who decides when the next operation begins: the clock (open loop) or the last answer (closed).

An open loop goes on sending while the system stalls, as the world outside does. A closed loop
falls silent with it, and so hardly measures the stall at all: the error known as coordinated
omission, which is what the closed loop is here to show.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Protocol

from lab.alarm import alarm
from lab.clock import derived_rng
from lab.load.client import Client
from lab.load.mix import Mix
from lab.load.pacer import arrivals
from lab.load.recorder import Recorder
from lab.load.settings import DriverSpec


class Loop(Protocol):
    """Begins operations until it is stopped or the load is over."""

    def start(self, zero_s: float) -> None:
        """Begin at that reading of `time.monotonic()`."""
        ...

    def finish(self) -> None:
        """The load is over: begin what was due before its end and nothing more."""
        ...

    def stop(self) -> None:
        """Begin nothing more, whatever is due."""
        ...


class OpenLoop:
    """Sends each operation when it is due, whatever became of those before it.

    One that is due while too many are in flight is recorded as refused, never skipped.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, spec: DriverSpec, client: Client, recorder: Recorder
    ) -> None:
        self._client, self._recorder = client, recorder
        self._mix = Mix(spec.requests, spec.seed)
        self._in_flight_max = spec.in_flight_max
        self._due = _until(
            spec.duration_s,
            arrivals(spec.stages, spec.arrivals, derived_rng(spec.seed, "arrivals")),
        )
        self._next_s = next(self._due, None)
        self._zero_s = 0.0
        self._alarm = alarm(loop, self._ring)

    def start(self, zero_s: float) -> None:
        """Begin at that reading of `time.monotonic()`."""
        self._zero_s = zero_s
        self._arm()

    def finish(self) -> None:
        """The load is over: begin what was due before its end and nothing more."""
        self._ring()
        self.stop()

    def stop(self) -> None:
        """Begin nothing more, whatever is due."""
        self._next_s = None
        self._alarm.close()

    def _arm(self) -> None:
        if self._next_s is not None:
            self._alarm.set(self._zero_s + self._next_s)

    def _ring(self) -> None:
        """Begin all that is due; when late (a stall of this process) at once, and recorded so."""
        client, recorder = self._client, self._recorder
        while self._next_s is not None and (now_s := client.now()) >= self._next_s:
            request, key = self._mix.draw()
            if recorder.in_flight >= self._in_flight_max:
                recorder.refused(request, key, self._next_s, now_s)
            else:
                client.begin(request, key, self._next_s)
            self._next_s = next(self._due, None)
        self._arm()


class ClosedLoop:
    """Users who ask, wait for the answer, think, and ask again.

    An operation is due when its user gets round to it, so `due_s` equals `sent_s`: a user kept
    waiting sends less, and the requests not sent are missing from every percentile.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, spec: DriverSpec, client: Client) -> None:
        self._loop, self._client = loop, client
        self._think_s, self._until_s = spec.think_s, spec.duration_s
        self._users = [Mix(spec.requests, spec.seed, f"user {n}") for n in range(spec.users)]
        self._zero_s = 0.0
        self._alarm = alarm(loop, self._ring)
        self._stopped = False

    def start(self, zero_s: float) -> None:
        """Begin at that reading of `time.monotonic()`, all users at once."""
        self._zero_s = zero_s
        self._alarm.set(zero_s)

    def finish(self) -> None:
        """The load is over: users who come back now find it closed."""
        self.stop()

    def stop(self) -> None:
        """Begin nothing more, whatever is due."""
        self._stopped = True
        self._alarm.close()

    def _ring(self) -> None:
        if self._client.now() < 0:
            self._alarm.set(self._zero_s)
            return
        for user in self._users:
            self._ask(user)

    def _ask(self, user: Mix) -> None:
        if not self._stopped and self._client.now() < self._until_s:
            request, key = user.draw()
            self._client.begin(request, key, None, lambda: self._think(user))

    def _think(self, user: Mix) -> None:
        if self._think_s > 0:
            self._loop.call_later(self._think_s, self._ask, user)
        else:
            self._loop.call_soon(self._ask, user)


def _until(end_s: float, times: Iterator[float]) -> Iterator[float]:
    for time_s in times:
        if time_s >= end_s:
            return
        yield time_s
