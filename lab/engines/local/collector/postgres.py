"""PostgreSQL's statistics, under the names of postgres_exporter 0.17."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator

import asyncpg

from lab.engines.local.collector.postgres_queries import QUERIES, Query
from lab.engines.local.collector.target import TIMEOUT_S, Target
from lab.engines.local.collector.text import line


class PostgresSource:
    """One PostgreSQL server; keeps one connection, which its own statistics count."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._static = ""
        self._reading: asyncio.Task[bytes] | None = None

    async def read(self) -> bytes:
        """All of it as text.

        Raises:
            OSError: no connection, or it broke.
            asyncpg.PostgresError, asyncpg.InterfaceError: the server refuses.
        """
        # A task of its own, because asyncpg answers a cancellation with one more connection, to
        # cancel the query: not what a server that hangs should get. `close` ends it instead.
        self._reading = asyncio.create_task(self._read())
        self._reading.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(self._reading)

    def close(self) -> None:
        """Let go of the connection at once."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None
        elif self._reading is not None:
            self._reading.cancel()  # still connecting

    async def _read(self) -> bytes:
        connection = self._connection or await self._connect()
        lines = ["pg_up 1", self._static]
        for query in QUERIES:
            lines.extend(_lines(query, await connection.fetch(query.sql), self._target.address))
        return "\n".join(lines).encode() + b"\n"

    async def _connect(self) -> asyncpg.Connection[asyncpg.Record]:
        target = self._target
        self._connection = connection = await asyncpg.connect(
            host=target.host,
            port=target.port,
            user=target.user or "postgres",
            password=target.password or "none",
            database=target.database or target.user or "postgres",
            ssl=False,
            timeout=TIMEOUT_S,
            server_settings={"jit": "off"},
        )
        version = await connection.fetchval("SELECT version()")
        found = re.match(r"\w+ (\d+)(?:\.(\d+))?", version)
        short = f"{found[1]}.{found[2] or 0}.0" if found else ""
        labels = {"server": target.address, "short_version": short, "version": version}
        self._static = line("pg_static", labels, 1)
        return connection


def _lines(query: Query, rows: list[asyncpg.Record], server: str) -> Iterator[str]:
    """One line for each number of each row; texts are labels."""
    for row in rows:
        labels = {"server": server} if query.server else {}
        numbers = []
        for column, value in row.items():
            if isinstance(value, str):
                labels[column] = value
            else:
                numbers.append((column, value))
        for column, value in numbers:
            yield line(f"{query.prefix}_{column}", labels, float("nan") if value is None else value)
