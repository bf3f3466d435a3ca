"""One connection of a client, its connection to the server, and the two flows between them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from random import Random
from typing import Protocol

from lab.proxies import Stream, Toxic
from lab.proxies.embedded import sockets
from lab.proxies.embedded.flow import Flow, Tally
from lab.proxies.embedded.sockets import Address
from lab.proxies.embedded.stages import stage
from lab.proxies.embedded.timers import Timers


class Owner(Protocol):
    """What a connection needs of its proxy."""

    name: str
    seed: str
    timers: Timers
    upstream: str

    def toxics(self) -> Iterable[Toxic]:
        """All toxics, in their order."""
        ...

    def keep(self, client: socket.socket) -> None:
        """Close this socket, but not while clients can hear nothing."""
        ...

    def gone(self, connection: Connection) -> None:
        """It has ended."""
        ...


class Connection:
    """Accepted from a client; opens the way to the server by itself.

    `held`: streams of which nothing is read or sent, as while the link's packets are dropped.
    `number` is the one among the proxy's connections: chance depends on it and the seed alone.
    """

    __slots__ = (
        "_client",
        "_dialing",
        "_doomed",
        "_flows",
        "_looking_up",
        "_owner",
        "_random_name",
        "_server",
        "held",
        "loop",
        "tally",
        "timers",
    )

    def __init__(
        self,
        owner: Owner,
        loop: asyncio.AbstractEventLoop,
        client: socket.socket,
        number: str,
        tally: Tally,
        *,
        held: frozenset[Stream],
    ) -> None:
        self.loop = loop
        self.timers = owner.timers
        self.tally = tally
        self.held = held
        self._owner = owner
        self._client: socket.socket | None = client
        self._server: socket.socket | None = None
        self._flows: tuple[Flow, ...] = ()
        self._dialing = self._doomed = False
        self._looking_up: asyncio.Task[None] | None = None
        self._random_name = f"{owner.seed}/{owner.name}/{number}"

    def start(self) -> None:
        """Open the connection to the server; nobody else waits for that."""
        sockets.tune(self._live(self._client))
        host, port = sockets.split(self._owner.upstream)
        if sockets.numeric(host) is None:
            self._looking_up = self.loop.create_task(self._look_up())
        else:
            self._dial((host, port))

    def random(self, what: str) -> Random:
        """Chance for one purpose: the same in every run with the same seed."""
        return Random(f"{self._random_name}/{what}")

    def add(self, toxic: Toxic) -> None:
        """A toxic acts from now on."""
        for flow in self._flows:
            if flow.stream == toxic.stream:
                flow.insert(stage(flow, toxic))
                flow.update()

    def change(self, toxic: Toxic) -> None:
        """The toxic of that name has other attributes."""
        for flow in self._flows:
            flow.change(toxic)

    def remove(self, name: str) -> None:
        """A toxic acts no more."""
        for flow in self._flows:
            flow.remove(name)

    def hold(self, held: frozenset[Stream]) -> None:
        """Neither read nor send these streams; others go on where they were."""
        self.held = held
        if self._doomed and "downstream" not in held:
            self._reset_both()
            return
        for flow in self._flows:
            flow.hold() if flow.stream in held else flow.release()

    def reset(self) -> None:
        """Reset both sides, once the client can hear of it."""
        if "downstream" in self.held:
            self._doomed = True
        else:
            self._reset_both()

    def close(self) -> None:
        """Close both sides; the client hears of it once that stream passes again."""
        client, self._client = self._client, None
        if client is not None:
            self._unwatch(client)
            self._owner.keep(client)
        self._close_all()

    def close_side(self, side: socket.socket) -> None:
        """Close one of the sockets: what comes from it ends, too."""
        if side is self._client:
            self._client = None
        elif side is self._server:
            self._server = None
        else:
            return
        self._unwatch(side)
        side.close()
        if self._client is None and self._server is None:
            self._close_all()
            return
        for flow in self._flows:
            if flow.source is side:
                flow.source_lost()

    def finished(self) -> None:
        """A flow has delivered everything; with the second one the connection is over."""
        if self._flows and all(flow.done for flow in self._flows):
            self._close_all()

    async def _look_up(self) -> None:
        try:
            address = await sockets.resolve(self._owner.upstream)
        except ValueError:
            self.close()
        else:
            self._dial(address)

    def _dial(self, address: Address) -> None:
        try:
            self._server = server = sockets.tcp(address)
            sockets.begin(server, address)
        except OSError:
            self.close()
            return
        try:
            server.getpeername()  # over loopback the handshake is complete by now
        except OSError:
            self._dialing = True
            self.loop.add_writer(server.fileno(), self._dialed)
        else:
            self._open()

    def _dialed(self) -> None:
        server = self._live(self._server)
        self._unwatch(server)
        try:
            sockets.check_connected(server)
        except OSError:
            self.close()
        else:
            self._open()

    def _open(self) -> None:
        client, server = self._live(self._client), self._live(self._server)
        sockets.tune(server)
        upstream = Flow(self, "upstream", client, server)
        downstream = Flow(self, "downstream", server, client)
        self._flows = (upstream, downstream)
        for toxic in self._owner.toxics():
            flow = upstream if toxic.stream == "upstream" else downstream
            flow.insert(stage(flow, toxic))
        upstream.update()
        downstream.update()

    def _reset_both(self) -> None:
        for side in (self._client, self._server):
            if side is not None:
                sockets.reset_on_close(side)
        self._close_all()

    def _close_all(self) -> None:
        if self._looking_up:
            self._looking_up.cancel()
            self._looking_up = None
        for side in (self._client, self._server):
            if side is not None:
                self._unwatch(side)
                side.close()
        self._client = self._server = None
        flows, self._flows = self._flows, ()
        for flow in flows:
            flow.forget()
        self._owner.gone(self)

    def _unwatch(self, side: socket.socket) -> None:
        """No callback may come any more for a socket that is about to be closed."""
        if self._dialing and side is self._server:
            self._dialing = False
            self.loop.remove_writer(side.fileno())
        for flow in self._flows:
            flow.unwatch(side)

    @staticmethod
    def _live(side: socket.socket | None) -> socket.socket:
        assert side is not None  # noqa: S101 - closed sides get no callbacks
        return side
