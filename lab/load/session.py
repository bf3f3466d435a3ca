"""The lab's end of the load: orders the drivers, one per design, and collects what they saw.

All drivers start from one instant of the run's clock; each driver's own clock was compared with
ours when its channel was opened (`Driver.clock_offset_s`), so one history has one clock.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from lab.clock import Clock
from lab.engines import Driver
from lab.errors import EngineError
from lab.experiment import Experiment
from lab.history import Op
from lab.load.spec import driver_spec
from lab.record import Lag

READY_TIMEOUT_S = 15.0
DRAIN_SLACK_S = 5.0

Tick = Callable[[str, float, Mapping[str, Any], list[Op]], None]
"""Told once a second per design: its name, the run second that ended, the driver's tick message
and the operations that finished since the last one."""


class LoadSession:
    """Drives all designs of one experiment; `ops` and `lags` fill up as messages arrive."""

    def __init__(self, experiment: Experiment, drivers: Mapping[str, Driver], tick: Tick) -> None:
        self._experiment = experiment
        self._drivers = drivers
        self._tick = tick
        self._ready = {design: asyncio.Event() for design in drivers}
        self._finished: dict[str, list[Op]] = defaultdict(list)
        self._readers: list[asyncio.Task[None]] = []
        self.ops: list[Op] = []
        self.lags: dict[str, Lag] = {}
        self.cpu_s: dict[str, float] = {}

    async def prepare(self, seed: int) -> None:
        """Hand every driver its work and wait until all are ready.

        Raises:
            EngineError: a driver did not answer in time, or says what is wrong.
        """
        self._readers = [asyncio.create_task(self._read(d)) for d in self._drivers.values()]
        for design, driver in self._drivers.items():
            await driver.send({"do": "load", "spec": driver_spec(self._experiment, design, seed)})
        ready = asyncio.create_task(self._all_ready())
        done, _ = await asyncio.wait(
            [ready, *self._readers], timeout=READY_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED
        )
        if ready not in done:
            ready.cancel()
            for reader in self._readers:
                if reader.done():
                    reader.result()
            missing = [name for name, event in self._ready.items() if not event.is_set()]
            raise EngineError(f"the load driver of {', '.join(missing)} did not get ready")

    async def _all_ready(self) -> None:
        await asyncio.gather(*(event.wait() for event in self._ready.values()))

    async def start(self, clock: Clock) -> None:
        """Order all drivers to start at the run's zero."""
        for driver in self._drivers.values():
            await driver.send({"do": "start", "at_s": clock.zero_s - driver.clock_offset_s})

    async def stop(self) -> None:
        """Order all drivers to send nothing more; they finish what is in flight."""
        for driver in self._drivers.values():
            await driver.send({"do": "stop"})

    async def drained(self) -> None:
        """Wait until every operation is finished or given up.

        Raises:
            EngineError: a driver broke off, or did not finish within what its timeouts allow.
        """
        limit_s = max(self._longest_s(design) for design in self._drivers) + DRAIN_SLACK_S
        try:
            async with asyncio.timeout(limit_s):
                await asyncio.gather(*self._readers)
        except TimeoutError:
            raise EngineError(f"the load did not drain within {limit_s:.0f} s") from None

    async def failed(self) -> None:
        """Return when a driver broke off; the reason is raised by `drained`."""
        await asyncio.wait(self._readers, return_when=asyncio.FIRST_EXCEPTION)

    def cancel(self) -> None:
        """Stop reading, when the run is over for another reason."""
        for reader in self._readers:
            reader.cancel()

    def _longest_s(self, design: str) -> float:
        """The longest that one operation may take: all attempts, all pauses between them."""
        load = self._experiment.designs[design].load
        pauses_s = sum(
            min(load.retry.backoff * 2.0**n, load.retry.backoff_max)
            for n in range(load.retry.attempts - 1)
        )
        return load.retry.attempts * load.timeout + pauses_s

    async def _read(self, driver: Driver) -> None:
        names = [request.name for request in self._experiment.designs[driver.design].load.requests]
        async for message in driver.messages():
            match message["is"]:
                case "ready":
                    self._ready[driver.design].set()
                case "ops":
                    ops = [Op(driver.design, names[op[0]], *op[1:]) for op in message["ops"]]
                    self.ops += ops
                    self._finished[driver.design] += ops
                case "tick":
                    finished = self._finished.pop(driver.design, [])
                    self._tick(driver.design, message["t_s"], message, finished)
                case "done":
                    self.cpu_s[driver.design] = message["cpu_s"]
                    self.lags[driver.design] = Lag(
                        **message["lag"],
                        due=message["due"],
                        sent=message["sent"],
                        saturated=message["saturated"],
                    )
                    return
                case "error":
                    raise EngineError(f"the load driver of {driver.design}: {message['text']}")
        raise EngineError(f"the load driver of {driver.design} ended before it was done")
