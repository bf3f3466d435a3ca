"""What passes between the two sides of one intercepted connection.

    client ──▶ _pending ──▶ requests, one after the other ──▶ server
           ◀── answers, in the order of the requests ◀── _answer ◀──

Bytes are passed on as they came; they are read along only to know where messages end. A connection
that stops being HTTP (a WebSocket, or bytes that never were) becomes a plain pipe.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from lab.proxies.interceptor.bodies import Body, NotHttpError
from lab.proxies.interceptor.heads import (
    Request,
    check_beginning,
    end_of_head,
    request_head,
    response_head,
)
from lab.proxies.interceptor.rules import Rule, Rules, answer_to, closes
from lab.proxies.interceptor.side import Side

Address = tuple[str, int]

PENDING_BYTES_MAX = 1 << 16
"""How much a client may send ahead while its request waits."""

LINGER_S = 2.0
"""How long a connection that we ended is still read, so that no reset eats what we sent."""

_DIALLING, _DELAYED, _UPGRADING = 1, 2, 4  # why requests wait
_WAITING, _FULL = 1, 2  # why a side is not read


@dataclass(slots=True)
class Exchange:
    """A request and its answer, which is ours or else the server's.

    `ready` once our answer may be sent: the whole request has been read.
    """

    request: Request
    rule: Rule | None
    ours: bytes | None = None
    ready: bool = False

    @property
    def room(self) -> int | None:
        """How much of the body of the server's answer passes; None is all."""
        return self.rule.spec.truncate_bytes if self.rule else None

    def missed(self) -> None:
        """There was no body to cut."""
        if self.rule and not self.request.probe:
            self.rule.missed()


class Relay:
    """One connection of a client, from its beginning to its end."""

    def __init__(self, rules: Rules, upstream: Address) -> None:
        self.client = Side(self)
        self._server: Side | None = None
        self._rules = rules
        self._upstream = upstream
        self._loop = asyncio.get_running_loop()
        self._held = 0
        self._is_pipe = False  # no HTTP any more
        self._is_unread = False  # because it never was, or is none any more
        self._is_over = False  # ended by us: nothing that comes counts
        self._dialling: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._exchanges: deque[Exchange] = deque()  # not answered yet, in order
        self._pending = b""  # of requests, not looked at yet
        self._sending: Exchange | None = None  # whose body is under way
        self._body: Body | None = None
        self._unsent = b""  # until there is a server
        self._answer = b""  # of answers, not looked at yet
        self._answer_body: Body | None = None
        self._ours_last = False

    # The owner of the two sides

    def made(self, side: Side) -> None:
        """A client is there, so the server is dialled, as a proxy does."""
        if side is self.client:
            self._dial()

    def received(self, side: Side, data: bytes) -> None:
        """Bytes from either side."""
        if self._is_over:
            return
        if side is not self.client:
            self._from_server(data)
        elif self._is_pipe and not self._held:
            self._to_server(data)
        else:
            self._pending = self._pending + data if self._pending else data
            self._advance()
            if len(self._pending) > PENDING_BYTES_MAX and self._held:
                self.client.hold(_WAITING)

    def ended(self, side: Side) -> None:
        """One way is over; the other side hears of it, once it has what was sent before."""
        if self._is_over:
            self.client.close()
        elif side is self.client:
            if not self._held:
                self._finish_server()
        elif side is self._server:
            self._server_ended(side)

    def lost(self, side: Side, error: Exception | None) -> None:
        """One side is gone, and so goes the other: by a reset if that is how it went."""
        if side is self.client:
            self._is_over = True
            for waiting in (self._timer, self._dialling):
                if waiting:
                    waiting.cancel()
            other, self._server = self._server, None
            if self._is_unread:
                self._rules.unread -= 1
        elif side is self._server:
            self._server, other = None, self.client
        else:
            return
        if other and error:
            other.reset()
        elif other:
            other.close()

    def full(self, side: Side, *, is_full: bool) -> None:
        """Who sends to a side that does not read has to wait."""
        other = self._server if side is self.client else self.client
        if other and is_full:
            other.hold(_FULL)
        elif other:
            other.release(_FULL)

    # The server

    def _dial(self) -> None:
        self._held |= _DIALLING
        self._dialling = self._loop.create_task(self._connect())

    async def _connect(self) -> None:
        try:
            _, side = await self._loop.create_connection(lambda: Side(self), *self._upstream)
        except OSError:
            # A proxy that cannot reach its server closes as well.
            self.client.close()
            return
        finally:
            self._dialling = None
        if self._is_over:
            side.close()
            return
        self._server = side
        if self._unsent:
            side.write(self._unsent)
            self._unsent = b""
        self._go_on(_DIALLING)

    def _to_server(self, data: bytes) -> None:
        if self._server:
            self._server.write(data)
            return
        self._unsent += data
        if not self._dialling:
            self._dial()

    def _finish_server(self) -> None:
        """Nothing more comes from the client; what is no whole head goes on as it is."""
        if self._pending:
            self._to_server(self._pending)
            self._pending = b""
        if self._server:
            self._server.finish()
            self._close_if_ended()

    def _server_ended(self, side: Side) -> None:
        if (
            self._ours_last
            and not self._exchanges
            and not self._is_pipe
            and not self.client.has_ended
        ):
            # It found its connection idle, but to the client it was not: we answered. It is
            # dialled anew for the next request that it is to get.
            self._server = None
            side.close()
            return
        self.client.finish()
        self._close_if_ended()

    def _close_if_ended(self) -> None:
        if self._server and self._server.has_ended and self.client.has_ended:
            self.client.close()
            self._server.close()

    def _hang_up(self) -> None:
        """The end, after what was written; it is read on for a while, and nothing is made of it."""
        self._is_over = True
        self.client.finish()
        self.client.release(_WAITING | _FULL)
        server, self._server = self._server, None
        if server:
            server.close()
        if self.client.has_ended:
            self.client.close()
        else:
            self._timer = self._loop.call_later(LINGER_S, self.client.close)

    # Requests

    def _go_on(self, reason: int) -> None:
        """One reason to wait is gone."""
        self._held &= ~reason
        self._advance()

    def _advance(self) -> None:
        """Pass on what may pass."""
        while self._pending and not self._held & ~_UPGRADING and not self._is_over:
            if self._is_pipe:
                data, self._pending = self._pending, b""
                self._to_server(data)
            elif self._body:
                self._take_body(self._body)
            elif self._held or not self._take_head():
                break
        if not self._held and not self._is_over:
            self.client.release(_WAITING)
            if self.client.has_ended:
                self._finish_server()

    def _take_head(self) -> bool:
        """Take a request's head off what is pending; False when not all of it is there."""
        data = self._pending
        end = end_of_head(data)
        try:
            if end < 0:
                check_beginning(data, answer=False)
                return False
            request = request_head(data[:end])
        except NotHttpError:
            self._give_up()
            return True
        self._pending = data[end:]
        rule = self._rules.striking(request)
        exchange = Exchange(request, rule, answer_to(request, rule.spec) if rule else None)
        if rule and rule.spec.delay_s:
            self._held |= _DELAYED
            self._timer = self._loop.call_later(rule.spec.delay_s, self._delayed, exchange)
        else:
            self._admit(exchange)
        return True

    def _delayed(self, exchange: Exchange) -> None:
        if not self._is_over:
            self._admit(exchange)
            self._go_on(_DELAYED)

    def _give_up(self) -> None:
        """What the client sends is no HTTP; rules hear of that, for they will strike nothing."""
        self._is_pipe = self._is_unread = True
        self._rules.unread_begins()

    def _admit(self, exchange: Exchange) -> None:
        """It is its turn: on to the server, or answered here once it is read."""
        request = exchange.request
        self._exchanges.append(exchange)
        self._body, self._sending = request.body(), exchange
        self._ours_last = exchange.ours is not None
        if exchange.ours is None:
            self._to_server(request.raw)
            if request.upgrades or request.method == "CONNECT":
                self._held |= _UPGRADING
        elif self._body is None or closes(request):
            exchange.ready = True
            self._send_ours()

    def _take_body(self, body: Body) -> None:
        data, exchange = self._pending, self._sending
        try:
            end = body.take(data)
        except NotHttpError:
            self._give_up()
            return
        self._pending = data[end:]
        if exchange and exchange.ours is None:
            self._to_server(data if end == len(data) else data[:end])
        if body.done:
            self._body = None
            if exchange and exchange.ours is not None:
                exchange.ready = True
                self._send_ours()

    # Answers

    def _send_ours(self) -> None:
        """Send our own answers whose turn it is."""
        while self._exchanges and self._exchanges[0].ready:
            exchange = self._exchanges.popleft()
            self.client.write(exchange.ours or b"")
            if closes(exchange.request):
                self._hang_up()
                return

    def _from_server(self, data: bytes) -> None:
        data = self._answer + data if self._answer else data
        self._answer = b""
        while data and not self._is_pipe and not self._is_over:
            if self._answer_body:
                data = self._pass_answer(self._answer_body, data)
            else:
                end = self._answer_head(data)
                if end < 0:
                    self._answer = data
                    return
                data = data[end:]
        if data and self._is_pipe:
            self.client.write(data)

    def _answer_head(self, data: bytes) -> int:
        """Pass on the head of an answer; how long it was, -1 when not all of it is there."""
        end = end_of_head(data)
        if not self._exchanges:  # it speaks unasked
            self._become_pipe()
            return 0
        try:
            if end < 0:
                check_beginning(data, answer=True)
                return -1
            answer = response_head(data[:end])
        except NotHttpError:
            self._become_pipe()
            return 0
        self.client.write(data[:end])
        exchange = self._exchanges[0]
        method = exchange.request.method
        if answer.is_tunnel(method):
            self._become_pipe()
        elif not answer.is_interim():
            self._answer_body = answer.body(method)
            if exchange.room is not None:
                self._shorten(exchange, exchange.room)
            elif self._answer_body is None:
                self._answered()
        return end

    def _shorten(self, exchange: Exchange, room: int) -> None:
        if self._answer_body is None:
            exchange.missed()
            self._answered()
            return
        self._answer_body.shorten(room)
        if self._answer_body.cut:
            self._hang_up()

    def _pass_answer(self, body: Body, data: bytes) -> bytes:
        """Pass on what belongs to the body of this answer; the rest."""
        try:
            end = body.take(data)
        except NotHttpError:
            self._become_pipe()
            return data
        self.client.write(data if end == len(data) else data[:end])
        if body.cut:
            self._hang_up()
        elif body.done:
            self._answered()
        return data[end:]

    def _answered(self) -> None:
        self._answer_body = None
        self._exchanges.popleft()
        self._send_ours()
        if self._held & _UPGRADING and not self._is_over:
            self._go_on(_UPGRADING)

    def _become_pipe(self) -> None:
        self._is_pipe = True
        self._go_on(_UPGRADING)
