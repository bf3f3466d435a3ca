"""The collector's process: orders in on stdin, answers out on stdout, a JSON object a line.

    -> {"id":1,"do":"scrape","targets":[TARGET,…],"interval_s":1.0,"keep_s":3600}
                                            <- {"id":1,"is":null}   these and no others from now on
    -> {"id":2,"do":"publish","text":…}     <- {"id":2,"is":null}   the lab's own metrics
    -> {"id":3,"do":"samples","start_unix_s":…,"end_unix_s":…,"names":[…]}
                                            <- {"id":3,"is":[[name,design,instance,[[k,v],…],
                                                              [at_unix_s,…],[value,…]],…]}
    -> {"id":4,"do":"serve","host":…,"port":0}
                                            <- {"id":4,"is":[host,port]}   for a real Prometheus
    -> {"id":5,"do":"read","instance":…}    <- {"id":5,"is":text}      one target, read now
    -> {"id":6,"do":"usage"}                <- {"id":6,"is":{"cpu_s","series","samples"}}
    end of stdin                               ends

A TARGET has the fields of `target.Target`. What is wrong with an order comes back as
{"id":…,"error":text}; an order without an id gets no answer. The log goes to stderr.
"""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from lab.engines.local.collector.scrape import Scraping
from lab.engines.local.collector.serve import Exporters
from lab.engines.local.collector.target import Target

_ORDER_BYTES_MAX = 64 * 2**20


class Collector:
    """Obeys orders."""

    def __init__(self) -> None:
        self._scraping = Scraping()
        self._exporters = Exporters(self._scraping)

    async def obey(self, order: Mapping[str, Any]) -> Any:
        """Carry out one order and return its answer.

        Raises:
            ValueError, TypeError, KeyError, OSError: it cannot be carried out.
        """
        match order.get("do"):
            case "scrape":
                targets = [Target(**target) for target in order["targets"]]
                self._scraping.scrape(targets, order["interval_s"], order["keep_s"])
                return None
            case "publish":
                return self._scraping.publish(order["text"])
            case "samples":
                return self._samples(order["start_unix_s"], order["end_unix_s"], order["names"])
            case "serve":
                return await self._exporters.listen(order["host"], order["port"])
            case "read":
                return await self._exporters.reading(order["instance"])
            case "usage":
                series, samples = self._scraping.store.count()
                return {"cpu_s": time.process_time(), "series": series, "samples": samples}
        raise ValueError("no such order; there are: scrape, publish, samples, serve, read, usage")

    def close(self) -> None:
        """Let go of everything."""
        self._scraping.close()
        self._exporters.close()

    def _samples(self, start_unix_s: float, end_unix_s: float, names: list[str]) -> list[Any]:
        found = self._scraping.store.between(start_unix_s, end_unix_s, frozenset(names))
        return [
            (one.name, one.design, one.instance, one.labels, times, values)
            for one, times, values in found
        ]


class _Output(asyncio.BaseProtocol):
    """Stdout, without waiting for its reader."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.gone.set()


async def _serve() -> None:
    """Obey until stdin ends, nobody reads stdout, or SIGTERM."""
    loop = asyncio.get_running_loop()
    orders = asyncio.StreamReader(_ORDER_BYTES_MAX)
    owner, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    pipe, output = await loop.connect_write_pipe(_Output, sys.stdout)
    collector = Collector()

    async def answer(line: bytes) -> None:
        number = None
        try:
            order = json.loads(line)
            number = order.get("id")
            told = {"id": number, "is": await collector.obey(order)}
        except (ValueError, TypeError, KeyError, AttributeError, OSError) as error:
            told = {"id": number, "error": f"{type(error).__name__}: {error}"}
        if number is not None:
            pipe.write(json.dumps(told, separators=(",", ":")).encode() + b"\n")

    async def obey() -> None:
        async with asyncio.TaskGroup() as answers:  # a reading that takes long holds up no other
            while line := await orders.readline():
                answers.create_task(answer(line))

    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    ends = [asyncio.create_task(w) for w in (obey(), ended.wait(), output.gone.wait())]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    for end in ends:
        end.cancel()
    collector.close()
    owner.close()
    pipe.close()


def main() -> None:
    """Run the collector until its owner is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the lab, which heals first
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve())


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Uvloop, which costs less, where it is installed."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


if __name__ == "__main__":
    main()
