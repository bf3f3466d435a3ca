"""One attempt of one request over HTTP/1.1: connections, their reuse, their failures.

The answer to an attempt is one of

    ok    status below 400; redirects are answers and not followed
    fail  status 400 and above, or the request never left ("refused", "connect timeout" …)
    info  it left and nobody knows: "timeout", "closed", "reset", "truncated" …

A server may close an idle connection in the very moment the client reuses it (uvicorn after 5 s,
nginx after 1,000 requests; RFC 9112 section 9.5). That is no failure of the system, so a request
which a *reused* connection lost before the first byte of an answer goes out once more on a fresh
one, within the same attempt and its timeout. As in Go's net/http, a request that must not be sent
twice (POST) gets this only when the connection had idled for a while; under steady load its loss
is news.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import time
from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple, cast

import httptools

IDLE_CLOSE_S = 1.0
"""No server closes a connection for idling less than this; the usual settings are 5 to 75 s."""

_OUR_LIMITS = (errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS)
_REASONS: dict[type[BaseException], str] = {
    ConnectionRefusedError: "refused",
    ConnectionError: "reset",
    TimeoutError: "timeout",
}
_FRAMING = (b"content-length", b"transfer-encoding")


class Answer(NamedTuple):
    """What became of one attempt; `error` is "" when ok, `status` 0 when no answer began."""

    outcome: Literal["ok", "fail", "info"]
    status: int
    error: str


Deliver = Callable[[Answer], None]


class Pool:
    """Connections to one server, most recently used first; as many as there are requests at once.

    `timeout_s` runs per attempt, from asking for a connection to the last byte of the answer.
    `connect_to` is where the server is; None asks the resolver for `host`.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        host: str,
        port: int,
        *,
        timeout_s: float,
        keep_alive: bool = True,
        connect_to: tuple[str, int] | None = None,
    ) -> None:
        self.loop = loop
        self.keep_alive = keep_alive
        self.timeout_s = timeout_s
        self._host, self._port = connect_to or (host, port)
        self._address = self._host
        self._idle: list[Connection] = []
        self._open: set[Connection] = set()

    async def resolve(self) -> None:
        """Look the server's name up, once for the whole run.

        Raises:
            OSError: the name does not resolve.
        """
        found = await self.loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        self._address = str(found[0][4][0])

    def send(self, request: bytes, *, idempotent: bool, deliver: Deliver) -> None:
        """Make one attempt; `deliver` is called exactly once, later."""
        _Attempt(self, request, idempotent, deliver).start()

    def idle(self) -> Connection | None:
        """An open connection that nobody uses, or None."""
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
        return None

    async def connect(self) -> Connection:
        """A fresh connection.

        Raises:
            OSError: it could not be opened.
        """
        new = partial(Connection, self)
        _, connection = await self.loop.create_connection(new, self._address, self._port)
        return connection

    def opened(self, connection: Connection) -> None:
        """This connection is there."""
        self._open.add(connection)

    def give_back(self, connection: Connection) -> None:
        """This connection is free for another request."""
        self._idle.append(connection)

    def forget(self, connection: Connection) -> None:
        """This connection is gone."""
        self._open.discard(connection)

    def close(self) -> None:
        """Close every connection at once."""
        self._idle.clear()
        for connection in list(self._open):
            connection.drop()


class _Attempt:
    """One request on its way to one answer: ends exactly once, by answer, loss or timeout."""

    __slots__ = (
        "_connection",
        "_deliver",
        "_idempotent",
        "_opening",
        "_pool",
        "_resent",
        "_timer",
        "request",
    )

    def __init__(self, pool: Pool, request: bytes, idempotent: bool, deliver: Deliver) -> None:  # noqa: FBT001
        self.request = request
        self._pool = pool
        self._idempotent = idempotent
        self._deliver = deliver
        self._resent = False
        self._connection: Connection | None = None
        self._opening: asyncio.Task[None] | None = None
        self._timer = pool.loop.call_later(pool.timeout_s, self._out_of_time)

    def start(self) -> None:
        """Send on an idle connection when there is one, else open one."""
        connection = self._pool.idle() if self._pool.keep_alive else None
        if connection:
            self._send_on(connection)
        else:
            self._opening = self._pool.loop.create_task(self._open())

    def answered(self, answer: Answer) -> None:
        """The attempt is over."""
        self._timer.cancel()
        self._connection = None
        self._deliver(answer)

    def lost(self, error: str, *, reused: bool, idled_s: float) -> None:
        """The connection broke before the first byte of an answer."""
        self._connection = None
        if reused and not self._resent and (self._idempotent or idled_s >= IDLE_CLOSE_S):
            self._resent = True
            self._opening = self._pool.loop.create_task(self._open())
        else:
            self.answered(Answer("info", 0, error))

    def _send_on(self, connection: Connection) -> None:
        self._connection = connection
        connection.carry(self)

    async def _open(self) -> None:
        try:
            connection = await self._pool.connect()
        except OSError as error:
            self._opening = None
            # Sent before on a connection that broke: then this attempt may have had its effect.
            self.answered(Answer("info" if self._resent else "fail", 0, _reason(error)))
        else:
            self._opening = None
            if connection.usable:
                self._send_on(connection)
            else:  # a proxy whose server is gone accepts and closes at once
                self.answered(Answer("info" if self._resent else "fail", 0, "closed"))

    def _out_of_time(self) -> None:
        if self._opening:
            self._opening.cancel()
            self._opening = None
            known = not self._resent
            self.answered(
                Answer("fail", 0, "connect timeout") if known else Answer("info", 0, "timeout")
            )
        elif self._connection:
            status = self._connection.status
            self._connection.drop()
            self.answered(Answer("info", status, "timeout"))


class Connection(asyncio.Protocol):
    """One TCP connection that carries one request at a time; httptools calls its `on_` methods."""

    __slots__ = (
        "_attempt",
        "_begun",
        "_complete",
        "_framed",
        "_free_since_s",
        "_head",
        "_idled_s",
        "_parser",
        "_pool",
        "_reused",
        "_transport",
        "status",
        "usable",
    )

    _transport: asyncio.Transport
    _complete: bool | None
    """None until the answer is whole, then whether the connection may serve again."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._parser = httptools.HttpResponseParser(self)
        self._attempt: _Attempt | None = None
        self._reused = False
        self._free_since_s = self._idled_s = 0.0
        self.usable = True
        self._clear()

    def carry(self, attempt: _Attempt) -> None:
        """Send this attempt's request; its answer, or its loss, goes to the attempt."""
        self._attempt = attempt
        self._idled_s = time.monotonic() - self._free_since_s
        self._transport.write(attempt.request)

    def drop(self) -> None:
        """Close at once; nobody wants the answer any more."""
        self.usable = False
        self._attempt = None
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio: it is open."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass
        self._pool.opened(self)

    def data_received(self, data: bytes) -> None:
        """Asyncio: bytes of an answer."""
        if self._attempt is None:
            self.drop()  # nobody asked: a server's 408 before it closes, or nonsense
            return
        self._begun = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._end(Answer("info", self.status, "bad answer"), reusable=False)
            return
        if self._complete is not None:
            self._end(_answer(self.status), reusable=self._complete)

    def eof_received(self) -> bool:
        """Asyncio: the server will send nothing more; asyncio then closes the connection."""
        self.usable = False
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Asyncio: it is closed, by us (then no attempt waits), by the server or by a failure."""
        self.usable = False
        self._pool.forget(self)
        attempt, self._attempt = self._attempt, None
        if attempt is None:
            return
        if not self._begun:
            attempt.lost(_reason(exc), reused=self._reused, idled_s=self._idled_s)
        elif self._head and not self._framed and exc is None:
            attempt.answered(_answer(self.status))  # a body that ends with the connection
        else:
            attempt.answered(Answer("info", self.status, "truncated"))

    def on_header(self, name: bytes, value: bytes) -> None:  # noqa: ARG002
        """Httptools: one header."""
        if name.lower() in _FRAMING:
            self._framed = True

    def on_headers_complete(self) -> None:
        """Httptools: the head is whole."""
        self.status = self._parser.get_status_code()
        self._head = self.status >= 200

    def on_message_complete(self) -> None:
        """Httptools: the body is as long as the head said."""
        if self.status < 200:
            self._framed = False  # 1xx: the answer proper is still to come
        elif self._complete is None:
            self._complete = self._pool.keep_alive and self._parser.should_keep_alive()
        else:
            self._complete = False  # a second answer to one request

    def _end(self, answer: Answer, *, reusable: bool) -> None:
        attempt, self._attempt = self._attempt, None
        self._clear()
        if reusable and self.usable:
            self._reused = True
            self._free_since_s = time.monotonic()
            self._pool.give_back(self)
        else:
            self.usable = False
            self._transport.close()
        if attempt:
            attempt.answered(answer)

    def _clear(self) -> None:
        self.status = 0
        self._begun = self._head = self._framed = False
        self._complete = None


def _answer(status: int) -> Answer:
    return Answer("ok", status, "") if status < 400 else Answer("fail", status, f"http {status}")


def _reason(error: BaseException | None) -> str:
    """A few words for why a connection failed; "saturated" when it is this process's own limit."""
    if isinstance(error, OSError) and error.errno in _OUR_LIMITS:
        return "saturated"
    for kind, text in _REASONS.items():
        if isinstance(error, kind):
            return text
    return "closed" if error is None else "unreachable"
