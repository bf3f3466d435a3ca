"""A connection inside the proxy that shows which streams of a link pass.

Both its ends are the proxy's own, so that a byte can be sent either way and seen to arrive, which
no connection from outside can show while a link is cut: a new one needs both ways. It is held and
released with the link's other connections, by the same code, and has no toxics.
"""

from __future__ import annotations

import asyncio
import socket
from random import Random

from lab.proxies import Stream
from lab.proxies.embedded.flow import Flow, Tally
from lab.proxies.embedded.timers import Timers

_NUMBERS = 256


class Canary:
    """`held`: the streams that are held when it is made."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, timers: Timers, held: frozenset[Stream]
    ) -> None:
        self.loop = loop
        self.timers = timers
        self.tally = Tally()
        self.held = held
        client, near = socket.socketpair()
        far, server = socket.socketpair()
        self._sockets = (client, near, far, server)
        for side in self._sockets:
            side.settimeout(0)
        self._flows = (Flow(self, "upstream", near, far), Flow(self, "downstream", far, near))
        self._ends = {"upstream": (client, server), "downstream": (server, client)}
        self._looking = asyncio.Lock()
        self._closed = False
        self._number = 0
        for flow in self._flows:
            flow.update()

    def hold(self, held: frozenset[Stream]) -> None:
        """Neither read nor send these streams; others go on."""
        self.held = held
        for flow in self._flows:
            flow.hold() if flow.stream in held else flow.release()

    async def passes(self, timeout_s: float) -> dict[str, bool]:
        """By stream, whether a byte sent now arrives in time."""
        async with self._looking:
            self._number = (self._number + 1) % _NUMBERS
            names = list(self._ends)
            arrived = await asyncio.gather(*(self._arrives(name, timeout_s) for name in names))
            if self._closed:
                self._close_sockets()
        return dict(zip(names, arrived, strict=True))

    def close(self) -> None:
        """The end of it, once nobody looks any more."""
        self._closed = True
        for flow in self._flows:
            flow.unwatch(flow.source)
            flow.unwatch(flow.sink)
            flow.forget()
        if not self._looking.locked():
            self._close_sockets()

    def random(self, what: str) -> Random:
        """Chance is for toxics only."""
        return Random(what)

    def close_side(self, side: socket.socket) -> None:
        """Its ends are closed together."""

    def finished(self) -> None:
        """It ends with its proxy."""

    def reset(self) -> None:
        """Resets are for toxics only."""

    def _close_sockets(self) -> None:
        for side in self._sockets:
            side.close()

    async def _arrives(self, stream: str, timeout_s: float) -> bool:
        if self._closed:
            return False
        sender, receiver = self._ends[stream]
        try:
            async with asyncio.timeout(timeout_s):
                await self.loop.sock_sendall(sender, bytes([self._number]))
                # Bytes of looks while it was held come first.
                while await self.loop.sock_recv(receiver, 1) != bytes([self._number]):
                    pass
        except (TimeoutError, OSError):
            return False
        return True
