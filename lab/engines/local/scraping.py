"""What an instance tells of itself, asked for now: by the collector, which asks once a second."""

from __future__ import annotations

import asyncio

from lab.engines.local.collected import Collector
from lab.errors import EngineError
from lab.plan import Instance


class Scraping:
    """`lab.engines.Scrapable`."""

    _collector: Collector | None

    async def scrape(self, instance: Instance, timeout_s: float = 1.0) -> str:
        """Its metrics in Prometheus' text format, translated where it speaks another language."""
        if self._collector is None or instance.service.scrape is None:
            raise EngineError(
                f"{instance.name} has no metrics", remedy="name them in x-lab.metrics"
            )
        try:
            async with asyncio.timeout(timeout_s):
                return await self._collector.read(instance.name)
        except TimeoutError:
            raise EngineError(f"{instance.name} does not tell its metrics in time") from None
