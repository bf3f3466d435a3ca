"""Where a scrape comes from: text in Prometheus' format, asked for once a second."""

from __future__ import annotations

from typing import Protocol

from lab.engines.local.collector.fetch import HttpSource
from lab.engines.local.collector.nats import NatsSource
from lab.engines.local.collector.redis import RedisSource
from lab.engines.local.collector.target import Target


class Source(Protocol):
    """Something to scrape; it keeps its connection between scrapes."""

    async def read(self) -> bytes:
        """Everything it says now; any exception, also a cancellation, is a failed scrape."""
        ...

    def close(self) -> None:
        """Let go of the connection at once; `read` makes another one."""
        ...


class Published:
    """The lab's own metrics: what was last handed over."""

    def __init__(self) -> None:
        self.text = b""

    async def read(self) -> bytes:
        """That."""
        return self.text

    def close(self) -> None:
        """Nothing to let go of."""


def source_of(target: Target) -> Source:
    """The source that understands a target.

    Raises:
        ValueError: there is none of this kind.
    """
    match target.kind:
        case "prometheus":
            return HttpSource(target.host, target.port, target.path)
        case "nats":
            return NatsSource(target)
        case "redis":
            return RedisSource(target)
        case "postgres":
            # Only here, because asyncpg is not quick to import and few runs need it.
            from lab.engines.local.collector.postgres import PostgresSource

            return PostgresSource(target)
    raise ValueError(f"no kind {target.kind!r}; there are: prometheus, postgres, redis, nats")
