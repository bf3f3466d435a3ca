"""One proxy: a listener, the toxics of a link, and the connections that go through it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
from collections.abc import Iterable, Iterator

from lab.proxies import Stream, Toxic
from lab.proxies.embedded import sockets
from lab.proxies.embedded.canary import Canary
from lab.proxies.embedded.connection import Connection
from lab.proxies.embedded.flow import Tally
from lab.proxies.embedded.listener import Cutting, Listener
from lab.proxies.embedded.sockets import Address
from lab.proxies.embedded.timers import Timers


class Proxy:
    """`listen` is as asked for until it first listens, then where it really does.

    A disabled proxy refuses connections and has none. While it is cut, neither shows: clients can
    tell a refusal from silence only after `mend`. `held` are the streams that are cut; one is
    enough to keep new connections out, as a handshake needs both.
    """

    def __init__(
        self, name: str, listen: str, upstream: str, *, timers: Timers, seed: str, cutting: Cutting
    ) -> None:
        self.name = name
        self.listen = listen
        self.upstream = upstream
        self.timers = timers
        self.seed = seed
        self.enabled = False
        self.held: frozenset[Stream] = frozenset()
        self.holders: set[tuple[Stream, str]] = set()
        """In whose names streams are cut: each is for as long as anybody wants it."""
        self.tally = Tally()
        self.probing: set[Address] = set()
        """Local addresses of probes under way: what they say is not traffic."""
        self._cutting = cutting
        self._listener: Listener | None = None
        self._canary: Canary | None = None
        self._toxics: dict[str, Toxic] = {}
        self._connections: set[Connection] = set()
        self._waiting: list[tuple[socket.socket, bool]] = []  # accepted while cut, to be served
        self._doomed: list[socket.socket] = []  # to be closed after the cut
        self._numbers = itertools.count(1)
        self._probe_numbers = itertools.count(1)

    @property
    def is_cut(self) -> bool:
        """Whether anything is."""
        return bool(self.held)

    @property
    def canary(self) -> Canary:
        """A connection that shows which streams pass."""
        if self._canary is None:
            self._canary = Canary(asyncio.get_running_loop(), self.timers, self.held)
        return self._canary

    async def start(self) -> None:
        """Listen.

        Raises:
            OSError: the address cannot be had.
            ValueError: it is none.
        """
        if self.enabled:
            return
        if self._listener is None:
            self._open(await sockets.resolve(self.listen))
        self.enabled = True

    def stop(self) -> None:
        """Refuse connections and close those there are."""
        self.enabled = False
        for connection in list(self._connections):
            connection.close()
        if not self.is_cut:
            self._close()

    def reset(self) -> None:
        """Reset the connections there are; while cut, they hear of it afterwards."""
        for connection in list(self._connections):
            connection.reset()

    def forget(self) -> None:
        """The end of this proxy; what a cut holds is lost."""
        self.held = frozenset()
        self.holders.clear()
        self._doomed += [client for client, _ in self._waiting]
        self._waiting.clear()
        self.stop()
        if self._canary:
            self._canary.close()
            self._canary = None

    async def cut(self, streams: frozenset[Stream], why: str) -> None:
        """Let no byte of these pass, and no new connection; twice is the same as once."""
        was_cut = self.is_cut
        self.holders |= {(stream, why) for stream in streams}
        self._hold(frozenset(stream for stream, _ in self.holders))
        if was_cut:
            return
        if self._listener:
            self._listener.cut()
            return
        with contextlib.suppress(OSError, ValueError):
            # Packets to a listener that is not there are dropped just as well.
            self._open(await sockets.resolve(self.listen))

    def mend(self, streams: frozenset[Stream], why: str) -> None:
        """Let these go on that nobody else wants cut; what happened meanwhile shows now."""
        was_cut = self.is_cut
        self.holders -= {(stream, why) for stream in streams}
        self._hold(frozenset(stream for stream, _ in self.holders))
        if self.is_cut or not was_cut:
            return
        waiting, self._waiting = self._waiting, []
        if not self.enabled:
            self._doomed += [client for client, _ in waiting]
            self._close()
            return
        self._close_doomed()
        if self._listener:
            self._listener.mend()
        for client, counted in waiting:
            self._serve(client, counted=counted)

    def toxics(self) -> Iterable[Toxic]:
        """All toxics, in the order in which they were added."""
        return self._toxics.values()

    def toxic(self, name: str) -> Toxic | None:
        """A toxic by its name."""
        return self._toxics.get(name)

    def put(self, toxic: Toxic) -> None:
        """Add a toxic, or change the one of that name (its kind and stream stay)."""
        known = toxic.name in self._toxics
        self._toxics[toxic.name] = toxic
        for connection in list(self._connections):
            connection.change(toxic) if known else connection.add(toxic)

    def remove(self, name: str) -> None:
        """Remove a toxic."""
        del self._toxics[name]
        for connection in list(self._connections):
            connection.remove(name)

    def listed(self) -> Iterator[Toxic]:
        """Toxics as Toxiproxy lists them: upstream first."""
        for stream in ("upstream", "downstream"):
            yield from (toxic for toxic in self._toxics.values() if toxic.stream == stream)

    def keep(self, client: socket.socket) -> None:
        """Close this socket, but not while clients can hear nothing."""
        if "downstream" in self.held:
            self._doomed.append(client)
        else:
            client.close()

    def gone(self, connection: Connection) -> None:
        """It has ended."""
        self._connections.discard(connection)

    def _hold(self, held: frozenset[Stream]) -> None:
        self.canary.hold(held)
        self.held = held
        for connection in list(self._connections):
            connection.hold(held)
        if held == {"upstream"}:
            self._close_doomed()

    def _open(self, address: Address) -> None:
        self._listener = Listener(address, self._accepted, self._cutting, cut=self.is_cut)
        self.listen = sockets.join(self._listener.address)

    def _close(self) -> None:
        if self._listener:
            self._listener.close()
            self._listener = None
        self._close_doomed()

    def _close_doomed(self) -> None:
        for client in self._doomed:
            client.close()
        self._doomed.clear()

    def _accepted(self, client: socket.socket, peer: Address) -> None:
        counted = peer not in self.probing
        if self.is_cut:
            self._waiting.append((client, counted))
        else:
            self._serve(client, counted=counted)

    def _serve(self, client: socket.socket, *, counted: bool) -> None:
        # Probes have numbers of their own, so that looking does not change what chance does.
        number = str(next(self._numbers)) if counted else f"probe {next(self._probe_numbers)}"
        tally = self.tally if counted else Tally()
        loop = asyncio.get_running_loop()
        connection = Connection(self, loop, client, number, tally, held=self.held)
        self._connections.add(connection)
        connection.start()
