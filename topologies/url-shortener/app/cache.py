"""Cache-aside in Valkey: look there first, fill it on a miss, do without it when it is down."""

from __future__ import annotations

from typing import Self

from prometheus_client import Counter
from redis import asyncio as valkey
from redis.exceptions import RedisError

REQUESTS = Counter("app_cache_requests", "Look-ups in the cache.", ["result"])
TIMEOUT_S = 0.25
TTL_S = 60


class Cache:
    """Short codes and where they lead; switched off it holds nothing and asks nobody."""

    def __init__(self, *, on: bool) -> None:
        self._client = (
            valkey.Redis(
                host="cache",
                decode_responses=True,
                socket_timeout=TIMEOUT_S,
                socket_connect_timeout=TIMEOUT_S,
            )
            if on
            else None
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._client:
            await self._client.aclose()

    async def get(self, code: str) -> str | None:
        """The URL, or None when it is not there or the cache does not answer."""
        if self._client is None:
            return None
        try:
            url = await self._client.get(code)
        except RedisError:
            REQUESTS.labels("error").inc()
            return None
        REQUESTS.labels("miss" if url is None else "hit").inc()
        return url

    async def put(self, code: str, url: str) -> None:
        """Remember it for a minute; failing to is no reason to fail the request."""
        if self._client is None:
            return
        try:
            await self._client.set(code, url, ex=TTL_S)
        except RedisError:
            REQUESTS.labels("error").inc()
