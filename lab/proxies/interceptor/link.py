"""Where the connections of one link come in."""

from __future__ import annotations

import asyncio

from lab.proxies.interceptor.relay import Address, Relay
from lab.proxies.interceptor.rules import Rules
from lab.proxies.interceptor.side import Side

_BACKLOG = 4096


class Link:
    """One link end: its server, its rules, and the port at which its proxy finds us."""

    def __init__(self, upstream: Address) -> None:
        self.rules = Rules()
        self._upstream = upstream
        self._server: asyncio.Server | None = None

    async def listen(self, host: str) -> Address:
        """Take connections at a free port from now on; which one."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accepted, host, 0, backlog=_BACKLOG)
        address: Address = self._server.sockets[0].getsockname()[:2]
        return address

    def _accepted(self) -> Side:
        return Relay(self.rules, self._upstream).client
