"""What an instance tells of itself, asked for now: where Prometheus asks once a second."""

from __future__ import annotations

from lab.engines.docker.hands import Agent
from lab.engines.docker.layout import Layout
from lab.engines.docker.prometheus import metrics_of
from lab.errors import EngineError
from lab.plan import Instance


class Scraping:
    """`lab.engines.Scrapable`; the network agent asks, from beside the proxy."""

    layout: Layout
    _agent: Agent

    async def scrape(self, instance: Instance, timeout_s: float = 1.0) -> str:
        """Its metrics in Prometheus' text format, from its exporter if it has one."""
        found = metrics_of(instance, self.layout)
        if found is None:
            raise EngineError(
                f"{instance.name} has no metrics", remedy="name them in x-lab.metrics"
            )
        address, port, path = found
        answer = await self._agent.order(
            "http",
            address=address,
            port=port,
            method="GET",
            path=path,
            body=None,
            timeout_s=timeout_s,
        )
        if answer["status"] != 200:
            raise EngineError(f"{instance.name} answered {answer['status']} to {path}")
        return str(answer["body"])
