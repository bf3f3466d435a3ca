"""One socket of an intercepted connection, with what the standard library leaves to do."""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

from lab.proxies.embedded.sockets import reset_on_close


class Owner(Protocol):
    """Is told what happens on its sides."""

    def made(self, side: Side) -> None:
        """It is connected."""
        ...

    def received(self, side: Side, data: bytes) -> None:
        """Bytes came."""
        ...

    def ended(self, side: Side) -> None:
        """Its peer will send no more; it may still read."""
        ...

    def lost(self, side: Side, error: Exception | None) -> None:
        """It is gone."""
        ...

    def full(self, side: Side, *, is_full: bool) -> None:
        """Its peer does not read as fast as we write; or does again."""
        ...


class Side(asyncio.Protocol):
    """A connection that can be closed one way at a time, held, and reset."""

    def __init__(self, owner: Owner) -> None:
        self.has_ended = False
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._finished = False
        self._held = 0

    def write(self, data: bytes) -> None:
        """Send, unless that is over."""
        if self._transport and not self._finished:
            self._transport.write(data)

    def finish(self) -> None:
        """Send no more, after what is written; the other way stays open."""
        if self._transport and not self._finished:
            self._finished = True
            if not self._transport.is_closing():
                self._transport.write_eof()

    def hold(self, reason: int) -> None:
        """Read no more until each reason (a bit) is gone."""
        if not self._held and (transport := self._reading()):
            transport.pause_reading()
        self._held |= reason

    def release(self, reason: int) -> None:
        """One reason less to hold."""
        last = self._held and not self._held & ~reason
        self._held &= ~reason
        if last and (transport := self._reading()):
            transport.resume_reading()

    def close(self) -> None:
        """Send what is written, then close both ways."""
        if self._transport:
            self._transport.close()

    def reset(self) -> None:
        """Close at once, so that the peer sees a reset."""
        if self._transport:
            reset_on_close(self._transport.get_extra_info("socket"))
            self._transport.abort()

    def _reading(self) -> asyncio.Transport | None:
        """The transport while there is something to read; its end must not be read twice."""
        transport = self._transport
        return None if transport is None or transport.is_closing() or self.has_ended else transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Of asyncio."""
        self._transport = cast("asyncio.Transport", transport)
        self._owner.made(self)

    def data_received(self, data: bytes) -> None:
        """Of asyncio."""
        self._owner.received(self, data)

    def eof_received(self) -> bool:
        """Of asyncio: the transport stays, so that we can go on sending."""
        self.has_ended = True
        self._owner.ended(self)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Of asyncio."""
        self._transport = None
        self._owner.lost(self, exc)

    def pause_writing(self) -> None:
        """Of asyncio."""
        self._owner.full(self, is_full=True)

    def resume_writing(self) -> None:
        """Of asyncio."""
        self._owner.full(self, is_full=False)
