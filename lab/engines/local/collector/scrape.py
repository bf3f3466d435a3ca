"""Scraping: every target on a grid of its own, none of which waits for another."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence

from lab.engines.local.collector.source import Published, Source, source_of
from lab.engines.local.collector.store import Store
from lab.engines.local.collector.target import TIMEOUT_S, Target
from lab.engines.local.collector.text import Reader

_FORGET_S = 60.0
_LAB = Target("lab", "", 0, honor_labels=True)
_log = logging.getLogger("collector")


class Scraper:
    """One target."""

    def __init__(self, target: Target, source: Source, store: Store) -> None:
        self.target, self.source = target, source
        self._reader = Reader(target, store)
        self._up = store.series("up", target.labels)
        self._duration = store.series("scrape_duration_seconds", target.labels)
        self._count = store.series("scrape_samples_scraped", target.labels)
        self._trouble: str | None = ""

    async def run(self, first_s: float, interval_s: float) -> None:
        """Scrape for ever at `first_s` (of the loop's clock) and every interval after it."""
        loop = asyncio.get_running_loop()
        due_s = first_s
        try:
            while True:
                await asyncio.sleep(due_s - loop.time())
                await self.once(min(TIMEOUT_S, interval_s))
                # A scrape that took longer than an interval leaves moments out, and no backlog.
                missed = int(max(0.0, loop.time() - due_s) / interval_s)
                due_s += interval_s * max(1, missed)
        finally:
            self.source.close()

    async def once(self, timeout_s: float) -> None:
        """One scrape. Its samples have the time of its start, as Prometheus has it."""
        at_unix_s = round(time.time(), 3)
        began_s = time.perf_counter()
        try:
            async with asyncio.timeout(timeout_s):
                readings = self._reader.read(await self.source.read())
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, it is not up
            self.source.close()
            readings = []
            self._note(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
        else:
            self._note(None)
        for series, value, at_s in readings:
            series.append(at_unix_s if at_s is None else at_s, value)
        self._up.append(at_unix_s, 0.0 if self._trouble else 1.0)
        self._duration.append(at_unix_s, time.perf_counter() - began_s)
        self._count.append(at_unix_s, len(readings))

    def _note(self, trouble: str | None) -> None:
        if trouble != self._trouble:
            _log.info("%s (%s): %s", self.target.instance, self.target.address, trouble or "up")
        self._trouble = trouble


class Scraping:
    """All targets of a run, and the samples."""

    def __init__(self) -> None:
        self.store = Store()
        self.published = Published()
        self._tasks: dict[Target, asyncio.Task[None]] = {}
        self._interval_s = TIMEOUT_S
        self._lab: asyncio.Task[None] | None = None
        self._forgetting: asyncio.Task[None] | None = None

    @property
    def targets(self) -> Sequence[Target]:
        """What is being scraped."""
        return list(self._tasks)

    def scrape(self, targets: Sequence[Target], interval_s: float, keep_s: float) -> None:
        """From now on scrape these, spread over the interval; the samples of others stay.

        Raises:
            ValueError: a target is of no known kind.
        """
        scrapers = [Scraper(target, source_of(target), self.store) for target in targets]
        self.close()
        now_s = asyncio.get_running_loop().time()
        for number, scraper in enumerate(scrapers):
            first_s = now_s + interval_s * number / len(scrapers)
            run = scraper.run(first_s, interval_s)
            self._tasks[scraper.target] = asyncio.create_task(run)
        self._interval_s = interval_s
        self._begin_lab()
        self._forgetting = asyncio.create_task(self._forget(keep_s))

    def publish(self, text: str) -> None:
        """The lab's own metrics, scraped like all others from now on."""
        self.published.text = text.encode()
        self._begin_lab()

    def _begin_lab(self) -> None:
        if self._lab is None and self.published.text:
            lab = Scraper(_LAB, self.published, self.store)
            now_s = asyncio.get_running_loop().time()
            self._lab = asyncio.create_task(lab.run(now_s, self._interval_s))

    def close(self) -> None:
        """Scrape nothing any more."""
        for task in (*self._tasks.values(), self._lab, self._forgetting):
            if task is not None:
                task.cancel()
        self._tasks.clear()
        self._lab = self._forgetting = None

    async def _forget(self, keep_s: float) -> None:
        while True:
            await asyncio.sleep(_FORGET_S)
            self.store.forget(time.time() - keep_s)
