"""Two ways to reach PostgreSQL: a connection per request, or a pool of them.

PerRequest  connect, prepare, ask, close   three round trips hold a connection
Pooled      ask, reset                     two; one without the reset
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol, Self

import asyncpg
from prometheus_client import Counter, Gauge, Histogram

DSN = "postgresql://app@db:5432/links?sslmode=disable"
"""No TLS: asking for it would cost one more round trip per connection."""

CONNECTIONS = Gauge("app_db_connections", "Connections to the database that are open.")
REFUSED = Counter("app_db_refused", "Connections that the database had no slot for.")
IN_USE = Gauge("app_pool_in_use", "Pooled connections that a request holds.")
WAITING = Gauge("app_pool_waiting", "Requests that wait for a pooled connection.")
WAIT = Histogram("app_pool_wait_seconds", "How long requests waited for a pooled connection.")
HOLD = Histogram("app_db_hold_seconds", "How long a request occupies a connection.")
HOLD_RECENT = Gauge("app_db_hold_seconds_recent", "The same: mean of about the last 20 requests.")
RETRIES = Counter("app_retries", "Queries repeated because their connection had died.")


class Database(Protocol):
    """Runs one query for one request."""

    async def __aenter__(self) -> object: ...

    async def __aexit__(self, *error: object) -> None: ...

    async def fetch(self, query: str, *values: object) -> Any:
        """The first row of the answer, or None."""
        ...


class PerRequest:
    """Connect, ask, close: what every tutorial shows first."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        pass

    async def fetch(self, query: str, *values: object) -> Any:
        """The first row of the answer, or None."""
        began_s = time.perf_counter()
        try:
            connection = await asyncpg.connect(DSN)
        except asyncpg.TooManyConnectionsError:
            REFUSED.inc()
            raise
        CONNECTIONS.inc()
        try:
            return await connection.fetchrow(query, *values)
        finally:
            await connection.close()
            CONNECTIONS.dec()
            _held(time.perf_counter() - began_s)


class Pooled:
    """`size` connections, opened once and shared.

    Args:
        size: how many.
        reset: clean each connection when it comes back, as asyncpg does by default. That is a
            round trip, and the only thing between one user's session settings and the next user.
    """

    def __init__(self, size: int, *, reset: bool) -> None:
        self._size = size
        self._keep = {} if reset else {"reset": _leave_as_it_is}

    async def __aenter__(self) -> Self:
        self._pool = await asyncpg.create_pool(
            DSN, min_size=self._size, max_size=self._size, **self._keep
        )
        CONNECTIONS.set_function(self._pool.get_size)
        return self

    async def __aexit__(self, *error: object) -> None:
        self._pool.terminate()

    async def fetch(self, query: str, *values: object) -> Any:
        """The first row of the answer, or None. A connection found dead is replaced once."""
        try:
            return await self._ask(query, *values)
        except (asyncpg.InterfaceError, asyncpg.ConnectionDoesNotExistError):
            RETRIES.inc()
            return await self._ask(query, *values)

    async def _ask(self, query: str, *values: object) -> Any:
        async with self._connection() as connection:
            return await connection.fetchrow(query, *values)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        with WAITING.track_inprogress(), WAIT.time():
            connection = await self._pool.acquire()
        began_s = time.perf_counter()
        with IN_USE.track_inprogress():
            try:
                yield connection
            finally:
                await self._pool.release(connection)
                _held(time.perf_counter() - began_s)


async def _leave_as_it_is(connection: object) -> None:
    """Instead of asyncpg's reset query."""


def _held(seconds: float) -> None:
    HOLD.observe(seconds)
    _recent.add(seconds)


class _Recent:
    """A running mean that forgets, as a gauge: a counter's rate says little about 10 seconds."""

    def __init__(self, gauge: Gauge, over: int = 20) -> None:
        self._gauge = gauge
        self._weight = 1 / over
        self._mean = 0.0

    def add(self, value: float) -> None:
        self._mean += (value - self._mean) * (self._weight if self._mean else 1)
        self._gauge.set(self._mean)


_recent = _Recent(HOLD_RECENT)
