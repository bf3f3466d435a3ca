"""The load driver's process: orders in on stdin, operations out on stdout, a JSON object a line.

    -> {"do":"ping","n":1}                 <- {"is":"pong","n":1,"clock_s":<time.monotonic()>}
    -> {"do":"load","spec":SPEC}           <- {"is":"ready"}
    -> {"do":"start","at_s":<monotonic>}   <- {"is":"started","at_s":…}, then until all is over
                                           <- {"is":"ops","ops":[[request_index, key, due_s,
                                               sent_s, done_s, outcome, status, attempts, error],
                                               …]}
                                           <- {"is":"tick","t_s","due","sent","in_flight",
                                               "saturated"}
    -> {"do":"stop"}                          sends nothing more, finishes what is in flight, and
                                           <- {"is":"done","due","sent","saturated","lag","cpu_s"}
    end of stdin                              exits at once: never load without an owner

Times are seconds since `at_s`. `lag` is sent minus due of first attempts, where *sent* is the
moment the driver wrote the request or asked for a connection: what the system under test does with
it, and what the retry policy does afterwards, is not the driver's doing. In a closed loop due and
sent are one moment, so its lag says nothing. Mistakes come back as {"is":"error","text":…}; the
log goes to stderr.

Run as `python -m lab.load.driver`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from lab.load.drive import Drive, Say
from lab.load.exposition import Exposition
from lab.load.settings import DriverSpec

ORDER_BYTES_MAX = 16 * 2**20


class Driver:
    """Obeys orders; one load at a time, any number one after the other."""

    def __init__(self, loop: asyncio.AbstractEventLoop, say: Say) -> None:
        self._loop, self._say = loop, say
        self._exposition = Exposition()
        self._drive: Drive | None = None

    async def obey(self, line: bytes) -> None:
        """Carry out one order; whatever is wrong with it is said, and nothing else happens."""
        try:
            order = json.loads(line)
            await self._action(order)
        except (ValueError, TypeError, KeyError, OSError) as error:
            self._say(
                {
                    "is": "error",
                    "text": f"{error} (order: {line[:200].decode(errors='replace').strip()})",
                }
            )

    def close(self) -> None:
        """End a load that goes on, at once."""
        if self._drive and self._drive.running:
            self._drive.close()

    def _action(self, order: Mapping[str, Any]) -> Coroutine[Any, Any, None]:
        match order:
            case {"do": "ping"}:
                return self._ping(order.get("n"))
            case {"do": "load", "spec": spec}:
                return self._load(spec)
            case {"do": "start", "at_s": at_s}:
                return self._start(float(at_s))
            case {"do": "stop"}:
                return self._stop()
        raise ValueError("no such order; there are: ping, load, start, stop")

    async def _ping(self, number: object) -> None:
        self._say({"is": "pong", "n": number, "clock_s": time.monotonic()})

    async def _load(self, message: Mapping[str, Any]) -> None:
        if self._drive and self._drive.running:
            raise ValueError("a load is going on; stop it first")
        spec = DriverSpec.read(message)
        if spec.metrics_port is not None:
            self._exposition.listen(spec.metrics_host, spec.metrics_port)
        drive = Drive(self._loop, spec, self._say)
        await drive.prepare()
        self._exposition.show(spec.design, drive.recorder)
        self._drive = drive
        self._say({"is": "ready"})

    async def _start(self, at_s: float) -> None:
        if self._drive is None or self._drive.running:
            raise ValueError("nothing is loaded that could start")
        self._say({"is": "started", "at_s": at_s})
        self._drive.start(at_s)

    async def _stop(self) -> None:
        if self._drive is None or not self._drive.running:
            raise ValueError("no load is going on")
        self._drive.stop()


class _Output(asyncio.BaseProtocol):
    """Stdout without ever waiting for its reader; `gone` is set when nobody reads any more."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Asyncio: closed, by us or by the reader."""
        self.gone.set()


async def _serve() -> None:
    """Read and obey orders until stdin ends, nobody reads stdout, or SIGTERM."""
    loop = asyncio.get_running_loop()
    orders = asyncio.StreamReader(ORDER_BYTES_MAX)
    owner, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    pipe, output = await loop.connect_write_pipe(_Output, sys.stdout)

    def say(message: Mapping[str, Any]) -> None:
        pipe.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    def unexpected(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        loop.default_exception_handler(context)
        say({"is": "error", "text": f"{context['message']}: {context.get('exception')!r}"})

    loop.set_exception_handler(unexpected)
    driver = Driver(loop, say)

    async def obey() -> None:
        while line := await orders.readline():
            await driver.obey(line)

    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    ends = [asyncio.create_task(w) for w in (obey(), ended.wait(), output.gone.wait())]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    driver.close()
    owner.close()
    pipe.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1.0):
            await output.gone.wait()
    for end in ends:
        end.cancel()
    await asyncio.wait(ends)


def main() -> None:
    """Run the driver until its owner is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the lab, which heals first
    # A metrics scrape runs in a thread; it may hold up the sending by this much at most.
    sys.setswitchinterval(0.000_5)
    with contextlib.suppress(PermissionError):
        os.nice(-10)  # starved of CPU it would measure the host; it needs little, but at once
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve())


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Uvloop, twice as fast, where it is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


if __name__ == "__main__":
    main()
