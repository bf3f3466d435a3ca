"""One load, from ready to done: the loop that sends, the timers around it, the drain at its end."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Mapping
from typing import Any

from lab.clock import derived_rng
from lab.load.client import Client
from lab.load.connection import Pool
from lab.load.loops import ClosedLoop, Loop, OpenLoop
from lab.load.recorder import OpRow, Recorder, as_json_row
from lab.load.retry import Retrier
from lab.load.settings import DriverSpec
from lab.load.wire import Template

FLUSH_S = 0.2
TICK_S = 1.0
PATIENCE_S = 30.0
"""How long after the end of the load operations may still retry."""

Say = Callable[[Mapping[str, Any]], None]


class Drive:
    """One load, from ready to done."""

    def __init__(self, loop: asyncio.AbstractEventLoop, spec: DriverSpec, say: Say) -> None:
        self._event_loop, self._spec, self._say = loop, spec, say
        self._zero_s = self._cpu_at_start_s = 0.0
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._ending = False
        self.running = False
        self.recorder = Recorder(tuple(request.name for request in spec.requests), self._hand_over)
        self._pool = Pool(
            loop,
            spec.host,
            spec.port,
            timeout_s=spec.timeout_s,
            keep_alive=spec.keep_alive,
            connect_to=spec.connect_to,
        )
        authority = f"{spec.host}:{spec.port}"
        self._client = Client(
            self._pool,
            [Template(request, authority, keep_alive=spec.keep_alive) for request in spec.requests],
            Retrier(spec.retry, derived_rng(spec.seed, "jitter")),
            self.recorder,
            lambda: time.monotonic() - self._zero_s,
        )
        self._client.finished = self._one_finished
        self._loop: Loop = (
            OpenLoop(loop, spec, self._client, self.recorder)
            if spec.loop == "open"
            else ClosedLoop(loop, spec, self._client)
        )

    async def prepare(self) -> None:
        """Look up the server and settle the garbage collector.

        Raises:
            OSError: the server's name does not resolve.
        """
        await self._pool.resolve()
        # A full collection stops everything for milliseconds: what exists now is looked at no
        # more, and cycles made during a load (connections, tasks) die in the young generations.
        gc.collect()
        gc.freeze()
        gc.set_threshold(5_000, 20, 1_000)

    def start(self, at_s: float) -> None:
        """Begin at that reading of `time.monotonic()`; in the past means late, and is recorded."""
        self.running = True
        self._zero_s = at_s
        self._cpu_at_start_s = time.process_time()
        end_in_s = at_s + self._spec.duration_s - time.monotonic()
        later = self._event_loop.call_later
        self._timers = {
            "end": later(max(0.0, end_in_s), self._end),
            "patience": later(max(0.0, end_in_s + PATIENCE_S), self._client.give_up),
        }
        self._every(FLUSH_S, self.recorder.flush)
        self._every(TICK_S, self._tick)
        self._loop.start(at_s)

    def stop(self) -> None:
        """Send nothing more; attempts in flight run into their answer or timeout, then done."""
        self._client.give_up()
        self._loop.stop()
        self._drain()

    def close(self) -> None:
        """Drop everything at once, after handing over what is known."""
        self.running = False
        self._loop.stop()
        for timer in self._timers.values():
            timer.cancel()
        self.recorder.flush()
        self._pool.close()

    def _end(self) -> None:
        left_s = self._spec.duration_s - self._client.now()
        if left_s > 0:  # timers round to milliseconds
            self._timers["end"] = self._event_loop.call_later(left_s, self._end)
            return
        self._loop.finish()
        self._drain()

    def _drain(self) -> None:
        self._ending = True
        self._one_finished()

    def _one_finished(self) -> None:
        if self._ending and self.running and self.recorder.in_flight == 0:
            self.close()
            recorder = self.recorder
            self._say(
                {
                    "is": "done",
                    "due": recorder.due,
                    "sent": recorder.sent,
                    "saturated": recorder.saturated,
                    "lag": recorder.lag(),
                    "cpu_s": time.process_time() - self._cpu_at_start_s,
                }
            )

    def _hand_over(self, rows: list[OpRow]) -> None:
        self._say({"is": "ops", "ops": [as_json_row(row) for row in rows]})

    def _tick(self) -> None:
        recorder = self.recorder
        recorder.flush()
        recorder.second_over()
        self._say(
            {
                "is": "tick",
                "t_s": round(self._client.now(), 3),
                "due": recorder.due,
                "sent": recorder.sent,
                "in_flight": recorder.in_flight,
                "saturated": recorder.saturated,
            }
        )

    def _every(self, period_s: float, act: Callable[[], None], count: int = 1) -> None:
        """Call `act` at every multiple of the period after zero, while running."""

        def ring() -> None:
            act()
            self._every(period_s, act, count + 1)

        in_s = max(0.0, self._zero_s + count * period_s - time.monotonic())
        self._timers[act.__name__] = self._event_loop.call_later(in_s, ring)
