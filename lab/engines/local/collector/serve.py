"""The collector's translations over HTTP, for a real Prometheus.

/probe?instance=NAME    a fresh reading of one PostgreSQL, Redis or NATS server
/metrics                the lab's own metrics, as last published
"""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qs, urlsplit

from lab.engines.local.collector.scrape import Scraping
from lab.engines.local.collector.source import Source, source_of
from lab.engines.local.collector.target import TIMEOUT_S, Target

_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_IDLE_S = 60.0


class Exporters:
    """Answers with connections of its own, so that two readers never share one."""

    def __init__(self, scraping: Scraping) -> None:
        self._scraping = scraping
        self._sources: dict[Target, tuple[Source, asyncio.Lock]] = {}
        self._server: asyncio.Server | None = None

    async def listen(self, host: str, port: int) -> tuple[str, int]:
        """Start to answer there; port 0 means any. Returns where it listens.

        Raises:
            OSError: the address is not to be had.
        """
        if self._server is not None:
            self._server.close()
        self._server = await asyncio.start_server(self._connected, host, port)
        found = self._server.sockets[0].getsockname()
        return found[0], found[1]

    def close(self) -> None:
        """Answer no more."""
        if self._server is not None:
            self._server.close()
        for source, _ in self._sources.values():
            source.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                async with asyncio.timeout(_IDLE_S):
                    request = await reader.readuntil(b"\r\n\r\n")
                status, body = await self._answer(request.split(b" ", 2)[1].decode())
                writer.write(
                    f"HTTP/1.1 {status}\r\nContent-Type: {_TYPE}\r\n"
                    f"Content-Length: {len(body)}\r\n\r\n".encode()
                    + body
                )
                await writer.drain()
        except (OSError, EOFError, TimeoutError, IndexError, asyncio.LimitOverrunError):
            pass  # it has gone, or it does not speak HTTP
        finally:
            writer.close()

    async def _answer(self, url: str) -> tuple[str, bytes]:
        parts = urlsplit(url)
        if parts.path == "/metrics":
            return "200 OK", self._scraping.published.text
        name = parse_qs(parts.query).get("instance", [""])[0]
        if parts.path != "/probe" or name not in self._known:
            return "404 Not Found", b"no such instance\n"
        try:
            return "200 OK", (await self.reading(name)).encode()
        except OSError as error:
            return "503 Service Unavailable", f"{error}\n".encode()

    @property
    def _known(self) -> dict[str, Target]:
        return {target.instance: target for target in self._scraping.targets}

    async def reading(self, name: str) -> str:
        """What the target of an instance says now.

        Raises:
            KeyError: there is none.
            OSError: it is not up, for whatever reason.
        """
        target = self._known[name]
        if target not in self._sources:
            self._sources[target] = source_of(target), asyncio.Lock()
        source, turn = self._sources[target]
        try:
            async with asyncio.timeout(TIMEOUT_S), turn:
                return (await source.read()).decode(errors="replace")
        except Exception as error:  # whatever is wrong with it, it is not up
            source.close()
            raise OSError(repr(error)) from error
